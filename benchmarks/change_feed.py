"""``./run bench feed``: imports with the change feed beside imports without it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.beside import KINDS, Kind, Sides, run
from benchmarks.service import Service

_KINDS = (Kind("tiny", 2_700, 8000), KINDS[0])


def main(arguments: list[str]) -> int:
    """0; 1 when the run failed or a result is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks feed", description=__doc__)
    return run(parser, arguments, _KINDS, lambda work, _: _start(work))


@contextmanager
def _start(work: Path) -> Iterator[Sides]:
    config, buckets = work / "off.toml", work / "buckets"
    config.write_text("changes_days = 0\n", encoding="utf-8")
    with (
        Service(work / "on" / "data", buckets) as on,
        Service(work / "off" / "data", buckets, config=config) as off,
    ):
        yield {"with": on, "without": off}
