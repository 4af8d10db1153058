"""Import rate as the index grows: batches of new instances into one store, each beside a copy of its own files."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

from benchmarks.measure import Round
from benchmarks.service import Service
from benchmarks.transfer import Plan, Run, Tell, add_round, importing, new_corpus


def growth_steps(plan: Plan, work: Path, tell: Tell) -> Run:
    """Import ``plan.rows`` instances in steps of ``plan.batch`` (the last may be smaller), each from new files."""
    run = Run(plan.size - plan.size % 2)
    (work / "buckets").mkdir()
    with Service(work / "data", work / "buckets", plan.workers) as service:
        service.create_store("growth")
        for number, done in enumerate(range(0, plan.rows, plan.batch), 1):
            bucket = work / "buckets" / f"bench-{number}"
            corpus = new_corpus(bucket, min(plan.batch, plan.rows - done), plan, seed=number)
            copy = work / f"copy-{number}"
            add_round(run, tell, number, corpus, copy, importing(service, "growth", corpus))
    return run


def growth_figures(steps: list[Round]) -> dict[str, float]:
    """The last two steps against the first two (one against one where there are fewer than four).

    ``rate_ratio`` compares rates; ``ratio_of_ratios`` compares rates relative to the copy measured beside each, so
    that the machine's own drift cancels out; ``cpu_ratio`` compares CPU time per instance, last over first.
    """
    width = 2 if len(steps) >= 4 else 1
    first, last = steps[:width], steps[-width:]
    figures = {
        "first_instances_per_second": mean(step.instances_per_second for step in first),
        "last_instances_per_second": mean(step.instances_per_second for step in last),
        "first_ratio": mean(step.ratio for step in first),
        "last_ratio": mean(step.ratio for step in last),
        "first_cpu_seconds_per_1000": mean(step.cpu_seconds_per_1000 for step in first),
        "last_cpu_seconds_per_1000": mean(step.cpu_seconds_per_1000 for step in last),
    }
    figures["rate_ratio"] = figures["last_instances_per_second"] / figures["first_instances_per_second"]
    figures["ratio_of_ratios"] = figures["last_ratio"] / figures["first_ratio"]
    # Steps of a few instances may cost less than the clock's tick.
    figures["cpu_ratio"] = figures["last_cpu_seconds_per_1000"] / (figures["first_cpu_seconds_per_1000"] or 1.0)
    return figures
