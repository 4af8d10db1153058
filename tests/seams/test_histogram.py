"""Classes of a histogram count all that took no longer than their end."""

from __future__ import annotations

from gantry.histogram import Histogram


def test_each_class_counts_what_took_no_longer() -> None:
    made = Histogram((0.5, 1.0))
    for seconds in (0.25, 0.5, 0.75, 4.0):
        made.observe(seconds)
    assert made.read() == ([("0.5", 2), ("1.0", 3), ("+Inf", 4)], 5.5)


def test_what_another_one_has_counted_is_added() -> None:
    made, other = Histogram((0.5, 1.0)), Histogram((0.5, 1.0))
    made.observe(0.25)
    other.observe(0.75)
    other.observe(2.0)
    made.add(other)
    assert made.read() == ([("0.5", 1), ("1.0", 2), ("+Inf", 3)], 3.0)
