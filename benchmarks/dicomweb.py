"""``./run bench dicomweb``: DICOMweb services beside Debian's Orthanc, on the same data in the same run.

With ``--before DIRECTORY`` beside the version of Gantry in another checkout instead.

Rounds are interleaved; figures are medians of rounds, ratios are medians of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import orthanc, search_growth
from benchmarks.corpus import Corpus
from benchmarks.dicomweb_checks import JSON, NotAvailable
from benchmarks.dicomweb_scenarios import LARGE_BYTES, MOST_ROUNDS, PER_STUDY, SCENARIOS, Data, Scenario, make_data
from benchmarks.load import Plan, run
from benchmarks.machine import BenchmarkError, settle, work_directory
from benchmarks.service import Service
from gantry import __version__

Tell = Callable[[str], None]
GROWTH = "search-growth"
NAMES = (*dict.fromkeys(item.name for item in SCENARIOS), GROWTH)
_PROGRESS_SECONDS = 10.0
_NOTE = """\
The load generator and the servers share {cpus} CPUs: absolute figures are lower than a machine of its own would give.
Gantry stores durably: bytes and rows are on the disk before it answers. Orthanc as Debian configures it does not wait.
"""
_PEERS = ("orthanc", "before")


@dataclass
class Rounds:
    """What one server reached in each round: the scenario's figure, and the median latency in milliseconds."""

    figures: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)


@dataclass
class Result:
    """``servers`` by name, only those that offer it; ``skipped`` says of the others why not."""

    scenario: Scenario
    servers: dict[str, Rounds]
    skipped: dict[str, str]

    @property
    def peer(self) -> str:
        return next((name for name in _PEERS if name in (*self.servers, *self.skipped)), _PEERS[0])

    @property
    def ratio(self) -> float | None:
        """Gantry over the other server."""
        if len(self.servers) < 2:
            return None
        pairs = zip(self.servers["gantry"].figures, self.servers[self.peer].figures, strict=True)
        return median(ours / theirs for ours, theirs in pairs)


def main(arguments: list[str] | None = None) -> int:
    """0; 1 when a server answered wrongly or not at all. What a server does not offer is skipped."""
    options = _parser().parse_args(arguments)

    def tell(text: str) -> None:
        if not options.json:
            print(text, flush=True)

    try:
        found = measure(options, tell)
    except (BenchmarkError, NotAvailable) as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(found, indent=2))
    return 0


def measure(options: argparse.Namespace, tell: Tell) -> dict[str, Any]:
    """The whole run, as JSON."""
    found: dict[str, Any] = {
        "benchmark": "dicomweb",
        "version": __version__,
        "cpus": os.cpu_count(),
        "generator": "wrk" if shutil.which("wrk") else "python",
        "studies": options.studies,
        "instances": options.studies * PER_STUDY,
        "large_instances": PER_STUDY,
        "large_bytes": LARGE_BYTES,
        "rounds": options.rounds,
        "scenarios": [],
    }
    tell(_NOTE.format(cpus=os.cpu_count()))
    chosen = [item for item in SCENARIOS if item.name in options.only]
    if chosen:
        with work_directory(options.dir) as work, ExitStack() as stack:
            data, bases = _servers(work, options, stack, tell)
            tell(_heading([*bases][1:]))
            for scenario in chosen:
                result = _measure(scenario, bases, data, options.rounds, work)
                found["scenarios"].append(_as_json(result))
                tell(_row(result))
    if GROWTH in options.only:
        found[GROWTH] = _growth(options.growth, options.dir, tell)
    return found


def _servers(work: Path, options: argparse.Namespace, stack: ExitStack, tell: Tell) -> tuple[Data, dict[str, str]]:
    """The data, and the DICOMweb roots of the servers that hold it, by name."""
    tell(f"making {options.studies * PER_STUDY:,} small and {PER_STUDY} large instances")
    data = make_data(work, options.studies)
    bases = {"gantry": _fill(stack, data, Service(work / "gantry" / "data", work / "buckets"))}
    if options.before is not None:
        before = Service(work / "before" / "data", work / "buckets", checkout=options.before)
        bases["before"] = _fill(stack, data, before)
    elif orthanc.is_installed():
        other = stack.enter_context(orthanc.Orthanc(work / "orthanc"))
        for corpus in (data.small, data.large):
            _load(other, corpus, tell)
        bases["orthanc"] = other.web
    else:
        tell(f"Orthanc is not installed, only Gantry is measured: {orthanc.INSTALL}")
    return data, bases


def _fill(stack: ExitStack, data: Data, service: Service) -> str:
    """Start a Gantry and import everything into it; its DICOMweb root."""
    gantry = stack.enter_context(service)
    gantry.create_store("bench")
    for bucket, corpus in (("small", data.small), ("large", data.large)):
        operation = gantry.wait(gantry.start_import("bench", f"gs://{bucket}/**"))
        counter = operation["metadata"].get("counter", {})
        if "error" in operation or int(counter.get("success", 0)) != len(corpus.slices):
            raise BenchmarkError(f"import of {bucket}: {counter} {operation.get('error', '')}")
    return gantry.web("bench")


def _load(server: orthanc.Orthanc, corpus: Corpus, tell: Tell) -> None:
    start = last = time.monotonic()
    total = len(corpus.slices)

    def progress(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done == total or now - last >= _PROGRESS_SECONDS:
            last = now
            tell(f"loading Orthanc: {done:,} of {total:,} ({done / (now - start):,.0f}/s)")

    server.load((corpus.directory / item.path for item in corpus.slices), progress)


def _measure(scenario: Scenario, bases: dict[str, str], data: Data, rounds: int, work: Path) -> Result:
    """Answers are checked first. Raises BenchmarkError, with the server's name, when one is wrong."""
    result = Result(scenario, {}, {})
    check = scenario.check(data)
    for server, base in bases.items():
        try:
            with _blamed(server, scenario):
                check(base)
            result.servers[server] = Rounds()
        except NotAvailable as error:
            result.skipped[server] = str(error)
    for number in range(rounds):
        for server in list(result.servers)[:: -1 if number % 2 else 1]:
            settle(work)  # or one server would wait for what the other has left unwritten
            with _blamed(server, scenario):
                load = run(scenario.plan(bases[server], data, number))
            result.servers[server].figures.append(scenario.figure(load))
            result.servers[server].p50_ms.append(load.p50_ms)
        for server in result.servers:
            with _blamed(server, scenario):
                scenario.after(data, number)(bases[server])
    return result


@contextmanager
def _blamed(server: str, scenario: Scenario) -> Iterator[None]:
    """Whatever a server's answer breaks is the server's failure: no JSON, no picture, a connection that ends."""
    try:
        yield
    except NotAvailable:
        raise
    except Exception as error:
        text = str(error) if isinstance(error, BenchmarkError) else repr(error)
        raise BenchmarkError(f"{scenario.name} {scenario.variant}, {server}: {text}") from error


def _as_json(result: Result) -> dict[str, Any]:
    scenario = result.scenario
    found: dict[str, Any] = {key: getattr(scenario, key) for key in ("name", "variant", "unit", "floor", "goal")}
    for server, rounds in result.servers.items():
        found[server] = {"median": median(rounds.figures), "median_p50_ms": median(rounds.p50_ms), **asdict(rounds)}
    return found | {"ratio": result.ratio, "not_available": result.skipped}


def _heading(peers: list[str]) -> str:
    names = "".join(f"{name:>9}{'p50 ms':>9}" for name in ("gantry", *(peers or _PEERS[:1])))
    return f"\n{'':33}{names}{'ratio':>8}{'floor':>7}{'goal':>6}"


def _row(result: Result) -> str:
    scenario = result.scenario
    text = f"{scenario.name + ' ' + scenario.variant:26}{scenario.unit:>7}"
    for server in ("gantry", result.peer):
        if server in result.servers:
            rounds = result.servers[server]
            text += f"{median(rounds.figures):>9,.0f}{median(rounds.p50_ms):>9,.2f}"
        else:
            text += f"{'not available' if server in result.skipped else '':>18}"
    if result.ratio is None:
        return text.rstrip()
    text += f"{result.ratio:>8.1f}"
    if result.peer == "before" or scenario.floor is None or scenario.goal is None:
        return text
    verdict = (
        "goal reached" if result.ratio >= scenario.goal else "" if result.ratio >= scenario.floor else "below floor"
    )
    return f"{text}{scenario.floor:>7g}{scenario.goal:>6g}  {verdict}".rstrip()


def _growth(counts: list[int], directory: str | None, tell: Tell) -> dict[str, float]:
    """The median latency of a search by PatientID, in milliseconds, by the number of instances. Gantry alone."""
    found: dict[str, float] = {}
    for count in counts:
        with work_directory(directory) as work, Service(work / "data", work / "buckets") as service:
            service.create_store("bench")
            search_growth.fill_index(work / "data", count)
            studies = count // (search_growth.PER_SERIES * search_growth.SERIES_PER_STUDY)
            chance = random.Random(1)
            paths = [f"/studies?PatientID=P{chance.randrange(studies):07d}" for _ in range(min(200, studies))]
            found[str(count)] = run(Plan(service.web("bench"), paths, JSON, 1, 3.0)).p50_ms
            tell(f"{GROWTH}: PatientID= at {count:,} instances, p50 {found[str(count)]:.2f} ms")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks dicomweb", description=__doc__)
    parser.add_argument("--studies", type=_at_least(2), default=120, help="of 200 small instances each (%(default)s)")
    parser.add_argument("--rounds", type=int, choices=range(1, MOST_ROUNDS + 1), default=3, help="(%(default)s)")
    parser.add_argument("--only", type=_names, default=NAMES, help=f"scenarios, with commas: {', '.join(NAMES)}")
    parser.add_argument(
        "--growth", type=_counts, default=[10_000, 1_000_000], help=f"instances of {GROWTH}, with commas"
    )
    parser.add_argument(
        "--before", type=Path, metavar="DIRECTORY", help="beside the version in this checkout, not Orthanc"
    )
    parser.add_argument("--dir", help="work in a new directory inside this one; it decides the file system")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if name not in NAMES:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(NAMES)}")
    return names


def _counts(text: str) -> list[int]:
    return [_at_least(search_growth.PER_SERIES * search_growth.SERIES_PER_STUDY)(part) for part in text.split(",")]


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        return value

    number.__name__ = "number"
    return number


if __name__ == "__main__":
    sys.exit(main())
