"""kill -9 at random moments."""

from __future__ import annotations

import random
import time

from tests.support.server import GantryServer


def kill_during(server: GantryServer, operation: str, kills: int, chance: random.Random) -> int:
    """Kill and start again until ``kills`` kills fell while the operation ran, or it has ended; how many did."""
    inside = 0
    while inside < kills:
        time.sleep(chance.uniform(0, 0.12))
        done = server.operation(operation).get("done", False)
        server.kill9()
        server.start()
        if done:
            break
        inside += 1
    return inside
