"""Callers, failing disks and dying processes at once, seed after seed: ``python -m tests.faults.soak``.

./run soak                     # 10 minutes, from a seed that the clock chooses
./run soak --minutes 480       # a night
./run soak --seed 17           # one seed again
./run soak --seed 1 --seeds 200
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.mixed.journal import Contradiction
from tests.faults.mixed.scene import run_seed

_MINUTES = 10.0


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 1 where a seed failed."""
    wanted = _parse(arguments)
    first = int(time.time()) % 1_000_000 if wanted.seed is None else wanted.seed
    many = wanted.seeds or (1 if wanted.seed is not None and wanted.minutes is None else sys.maxsize)
    minutes = wanted.minutes or (_MINUTES if many == sys.maxsize else float("inf"))
    begun, clean, failed = time.monotonic(), 0, []
    for seed in range(first, first + many):
        if time.monotonic() > begun + minutes * 60:
            break
        if _run(seed):
            clean += 1
        else:
            failed.append(seed)
    print(f"{clean} seeds are clean, {len(failed)} are not{': ' if failed else ''}{', '.join(map(str, failed))}")
    return 1 if failed else 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run soak", description="Break a server while callers use it.")
    parser.add_argument("--minutes", type=float, help=f"begin no seed after so many minutes (default: {_MINUTES:g})")
    parser.add_argument("--seed", type=int, help="the first seed; alone: this one only")
    parser.add_argument("--seeds", type=int, help="how many seeds")
    return parser.parse_args(arguments)


def _run(seed: int) -> bool:
    directory, begun = Path(tempfile.mkdtemp(prefix=f"soak-{seed}-")), time.monotonic()
    try:
        summary = run_seed(directory / "seed", seed)
    except Contradiction as error:
        print(f"{error}\nIts directory: {directory}. To run it again: ./run soak --seed {seed}", flush=True)
        return False
    directory.rmdir()
    print(f"seed {seed}: clean, {time.monotonic() - begun:.1f} s; {summary}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
