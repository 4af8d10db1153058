"""Classes of a histogram count all that took no longer than their end."""

from __future__ import annotations

from gantry.histogram import Histogram


def test_each_class_counts_what_took_no_longer() -> None:
    made = Histogram((0.5, 1.0))
    for seconds in (0.25, 0.5, 0.75, 4.0):
        made.observe(seconds)
    assert made.read() == ([("0.5", 2), ("1.0", 3), ("+Inf", 4)], 5.5)
