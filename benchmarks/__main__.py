"""``python -m benchmarks import|export|growth``: rates of the real server beside ``cp -r && sync -f``.

``dicomweb`` measures DICOMweb beside Orthanc, ``search`` searches in a small and a large index, ``console`` pages,
``fairness`` small requests under pressure, ``hostile`` a mixed hostile load, ``pixels`` pictures and codecs on
one core, ``scale`` imports, memory and uploads with a large index, ``buckets`` imports from and exports to S3,
``before`` imports and exports beside another version of the program, ``databases`` both databases, ``rows`` the index
alone with many rows, ``engines`` workers of a distributed engine, ``feed`` imports with the change feed and without,
``tables`` exports of metadata.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from benchmarks.growth import growth_steps
from benchmarks.machine import BenchmarkError, work_directory
from benchmarks.processes import is_supported
from benchmarks.report import as_json, heading, round_row, summary
from benchmarks.transfer import Plan, export_rounds, import_rounds

_OTHERS = {
    "dicomweb": "dicomweb",
    "search": "search_growth",
    "console": "console_latency",
    "fairness": "fairness",
    "hostile": "hostile",
    "pixels": "pixel_rate",
    "scale": "at_scale",
    "buckets": "buckets",
    "before": "beside",
    "databases": "databases",
    "feed": "change_feed",
    "rows": "index_rows",
    "engines": "engines",
    "tables": "tables",
}
BENCHMARKS = {"import": import_rounds, "export": export_rounds, "growth": growth_steps}


def main(arguments: Sequence[str] | None = None) -> int:
    """0; 1 when the run failed or its result is wrong."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] and given[0] in _OTHERS:
        return int(import_module(f"benchmarks.{_OTHERS[given[0]]}").main(given[1:]))
    options = _parser().parse_args(given)
    if not is_supported():
        print("benchmarks need Linux: CPU and memory are read from /proc", file=sys.stderr)
        return 1
    plan = Plan(
        count=getattr(options, "count", 0),
        size=options.size,
        per_series=options.per_series,
        rounds=getattr(options, "rounds", 0),
        workers=options.workers,
        rows=getattr(options, "rows", 0),
        batch=getattr(options, "batch", 0),
    )

    def tell(text: str) -> None:
        if not options.json:
            print(text, flush=True)

    try:
        tell(heading(options.benchmark, plan))
        with work_directory(options.dir) as work:
            run = BENCHMARKS[options.benchmark](plan, work, lambda item: tell(round_row(item)))
    except BenchmarkError as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 1
    found = as_json(options.benchmark, plan, run)
    print(json.dumps(found, indent=2) if options.json else summary(found, options.profile))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    kinds = parser.add_subparsers(dest="benchmark", required=True)
    for name in ("import", "export"):
        kind = kinds.add_parser(name, help=f"{name} rate of one set of files, several rounds")
        kind.add_argument("--count", type=_positive, default=1000, help="files (%(default)s)")
        kind.add_argument("--rounds", type=_positive, default=5, help="(%(default)s)")
        _shared(kind, size=530_000)
    kind = kinds.add_parser("growth", help="import rate as the index grows")
    kind.add_argument("--rows", type=_positive, default=200_000, help="instances in the end (%(default)s)")
    kind.add_argument("--batch", type=_positive, default=10_000, help="instances per step (%(default)s)")
    _shared(kind, size=4000)
    return parser


def _shared(kind: argparse.ArgumentParser, size: int) -> None:
    kind.add_argument("--size", type=_positive, default=size, help="bytes per file (%(default)s)")
    kind.add_argument("--per-series", type=_positive, default=100, help="instances per series (%(default)s)")
    kind.add_argument("--workers", type=_positive, default=0, help="worker processes (the server's default)")
    kind.add_argument("--dir", help="work in a new directory inside this one; it decides the file system")
    kind.add_argument("--json", action="store_true", help="print one JSON object")
    kind.add_argument("--profile", action="store_true", help="print the CPU time of each process")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


_positive.__name__ = "positive number"

if __name__ == "__main__":
    sys.exit(main())
