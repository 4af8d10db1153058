"""What a run found, as one JSON object or as tables."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from typing import Any, NamedTuple

from benchmarks.growth import growth_figures
from benchmarks.measure import Round, medians
from benchmarks.transfer import Plan, Run
from gantry import __version__


class Column(NamedTuple):
    title: str
    key: str
    form: str
    scale: float = 1.0


_MB = 1e-6
COLUMNS = (
    Column("inst/s", "instances_per_second", ",.0f"),
    Column("MB/s", "mb_per_second", ",.0f"),
    Column("base inst/s", "base_instances_per_second", ",.0f"),
    Column("base MB/s", "base_mb_per_second", ",.0f"),
    Column("ratio", "ratio", ".2f"),
    Column("op s", "seconds", ".2f"),
    Column("wall s", "wall_seconds", ".2f"),
    Column("CPU s/1000", "cpu_seconds_per_1000", ".2f"),
    Column("peak MB", "memory_peak_bytes", ",.0f", _MB),
    Column("at 25 %", "memory_at_25_bytes", ",.0f", _MB),
    Column("50 %", "memory_at_50_bytes", ",.0f", _MB),
    Column("100 %", "memory_at_100_bytes", ",.0f", _MB),
)
_LABEL = 22
UNSTEADY = 1.5
"""Fastest copy over slowest from which on a run is marked as unsteady."""
_LEGEND = """\
base: cp -r && sync -f of the same files; ratio: inst/s over base inst/s, within a round; MB: 10^6 bytes
op s: endTime - createTime (rates are from it); wall s: seen by the client, which polls
CPU: user + kernel, whole process tree; memory: proportional set size of the tree, at fractions of the operation's time
"""


def as_json(benchmark: str, plan: Plan, run: Run) -> dict[str, Any]:
    """Times in seconds, memory and sizes in bytes; see ``Round`` for the figures of ``rounds`` and ``median``.

    ``base_spread`` is the fastest copy over the slowest: how steady the machine was.
    """
    count = sum(item.success for item in run.rounds) if benchmark == "growth" else plan.count
    ratios = [item.ratio for item in run.rounds]
    base = [item.base_instances_per_second for item in run.rounds]
    found: dict[str, Any] = {
        "benchmark": benchmark,
        "count": count,
        "file_bytes": run.file_size,
        "total_bytes": run.file_size * count,
        "per_series": plan.per_series,
        "workers": plan.workers or "default",
        "version": __version__,
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "rounds": [asdict(item) for item in run.rounds],
        "median": medians(run.rounds),
        "ratio_range": [min(ratios), max(ratios)],
        "base_spread": max(base) / min(base),
        "memory_peak_bytes": max(item.memory_peak_bytes for item in run.rounds),
        "processes": _processes(run),
    }
    if benchmark == "growth":
        found["growth"] = growth_figures(run.rounds)
    return found


def heading(benchmark: str, plan: Plan) -> str:
    """The lines above the rounds."""
    if benchmark == "growth":
        what = f"{plan.rows:,} rows in steps of {plan.batch:,}, files of {plan.size:,} bytes"
    else:
        what = f"{plan.count:,} files of {plan.size:,} bytes, {plan.rounds} rounds"
    where = f"Python {platform.python_version()}, {os.cpu_count()} CPUs, workers: {plan.workers or 'default'}"
    titles = " ".join(f"{column.title:>{_width(column)}}" for column in COLUMNS)
    return f"{benchmark}: {what}\ngantry {__version__}, {where}\n\n{'':{_LABEL}} {titles}"


def row(label: str, figures: dict[str, Any]) -> str:
    """One line of the table."""
    cells = (f"{figures[column.key] * column.scale:>{_width(column)}{column.form}}" for column in COLUMNS)
    return f"{label:{_LABEL}} {' '.join(cells)}"


def round_row(item: Round) -> str:
    return row(f"round {item.number}, {'base' if item.base_first else 'gantry'} first", asdict(item))


def summary(found: dict[str, Any], profile: bool) -> str:
    """The lines below the rounds, from ``as_json``'s value."""
    low, high = found["ratio_range"]
    lines = [
        row("median", found["median"]),
        "",
        f"median of ratios {found['median']['ratio']:.2f} ({low:.2f} to {high:.2f})",
        f"peak memory      {found['memory_peak_bytes'] * _MB:,.0f} MB",
    ]
    if found["base_spread"] > UNSTEADY:
        lines.append(f"UNSTEADY: the copy's own rate varied {found['base_spread']:.1f}-fold; one run says little")
    if "growth" in found:
        lines += ["", *_growth(found["growth"])]
    if profile:
        lines += ["", *_profile(found)]
    return "\n".join((*lines, "", _LEGEND))


def _growth(figures: dict[str, float]) -> list[str]:
    return [
        "last steps vs first    {first_instances_per_second:,.0f} → {last_instances_per_second:,.0f} inst/s: "
        "{rate_ratio:.2f}".format(**figures),
        "same, relative to base {first_ratio:.2f} → {last_ratio:.2f}: {ratio_of_ratios:.2f}".format(**figures),
        "CPU s/1000             {first_cpu_seconds_per_1000:.2f} → {last_cpu_seconds_per_1000:.2f}: "
        "{cpu_ratio:.2f}".format(**figures),
    ]


def _profile(found: dict[str, Any]) -> list[str]:
    operations = sum(item["seconds"] for item in found["rounds"])
    instances = sum(item["success"] for item in found["rounds"])
    lines = [f"{'process':10} {'user s':>8} {'kernel s':>9} {'user µs/inst':>13} {'kernel µs/inst':>15} {'busy':>6}"]
    for process in found["processes"]:
        user, system = process["user_seconds"], process["system_seconds"]
        busy = (user + system) / operations
        each = f"{user / instances * 1e6:>13,.0f} {system / instances * 1e6:>15,.0f}"
        lines.append(f"{process['name']:10} {user:>8.2f} {system:>9.2f} {each} {busy:>6.0%}")
    return lines


def _processes(run: Run) -> list[dict[str, Any]]:
    """CPU seconds of each process over all rounds, busiest worker first; the main process leads."""
    user: dict[int, float] = {}
    system: dict[int, float] = {}
    for measured in run.measured:
        for pid, cpu in measured.cpu_by_process.items():
            user[pid] = user.get(pid, 0) + cpu.user
            system[pid] = system.get(pid, 0) + cpu.system
    main, *workers = user
    workers.sort(key=lambda pid: -(user[pid] + system[pid]))
    names = ["main", *(f"worker {number}" for number in range(1, len(workers) + 1))]
    return [
        {"name": name, "user_seconds": user[pid], "system_seconds": system[pid]}
        for name, pid in zip(names, (main, *workers), strict=True)
    ]


def _width(column: Column) -> int:
    return max(7, len(column.title))
