"""Charts as SVG, drawn by the server: they need no script, and screen readers read their numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from markupsafe import Markup

from gantry.console.formats import abbreviate, day, elapsed, number
from gantry.languages import _

WIDTH, HEIGHT = 1080, 200
_LEFT, _BOTTOM, _TOP = 56, 24, 12
_LEAST = 4  # units of the width
_SHORT = 40  # the height of a chart in a card
_MAX_POINTS = 500  # one for about two units of the width


class Point(NamedTuple):
    """``time`` is in seconds since 1970."""

    time: float
    value: float


def draw_line_chart(points: Sequence[Point], title: str, unit: str = "", is_short: bool = False) -> Markup:
    """A chart of at least two points, in the order of time: a line above an area.

    ``is_short``: the time axis shows the seconds since the first point instead of dates.
    """
    points = _thin(points)
    first, last = points[0].time, points[-1].time
    top = round_up(max(point.value for point in points))
    across, down = (WIDTH - _LEFT) / max(last - first, 1e-9), (HEIGHT - _TOP - _BOTTOM) / top
    places = [(_LEFT + (p.time - first) * across, HEIGHT - _BOTTOM - max(p.value, 0) * down) for p in points]
    line = " ".join(f"{'L' if at else 'M'}{x:.1f} {y:.1f}" for at, (x, y) in enumerate(places))
    area = f"{line} L{places[-1][0]:.1f} {HEIGHT - _BOTTOM} L{places[0][0]:.1f} {HEIGHT - _BOTTOM} Z"
    most = max(point.value for point in points)
    label = _("{title}: from {first} to {last}{unit}, at most {most}").format(
        title=title, first=number(points[0].value), last=number(points[-1].value), unit=unit, most=number(most)
    )
    grid = Markup("").join(_draw_grid(top * part, part, unit) for part in (0, 0.5, 1))
    begin, end = (elapsed(0), elapsed(last - first)) if is_short else (_day(first), _day(last))
    return Markup(
        '<svg class="chart" viewBox="0 0 {w} {h}" role="img" aria-label="{label}">{grid}'
        '<path class="area" d="{area}"/><path class="line" d="{line}"/>'
        '<text x="{left}" y="{h}" dy="-6">{begin}</text><text x="{w}" y="{h}" dy="-6" class="end">{end}</text></svg>'
    ).format(w=WIDTH, h=HEIGHT, label=label, grid=grid, area=area, line=line, left=_LEFT, begin=begin, end=end)


def draw_stacked_bar(parts: Sequence[tuple[str, str, int]], write: Callable[[float], str] = number) -> Markup:
    """A bar of parts, each with its class, its name and its count: what is there at all is a few units wide."""
    total = sum(count for *_names, count in parts)
    label = ", ".join(f"{name}: {write(count)}" for _kind, name, count in parts if count)
    bars, at = Markup(""), 0.0
    for kind, _name, count in parts:
        width = max(WIDTH * count / total, _LEAST) if count else 0.0
        bars += Markup('<rect class="{}" x="{:.1f}" y="0" width="{:.1f}" height="12"/>').format(kind, at, width)
        at += width
    return Markup(
        '<svg class="stack" viewBox="0 0 {w:.1f} 12" preserveAspectRatio="none" role="img" aria-label="{label}">'
        "{bars}</svg>"
    ).format(w=at, label=label, bars=bars)


def draw_days(counts: Sequence[int]) -> Markup:
    """A bar for each of the last days, of which one at least has instances. Any of them is a few units high."""
    most = max(counts)
    label = _("Stored in the last {days} days: {count}, at most {most} on a day").format(
        days=len(counts), count=number(sum(counts)), most=number(most)
    )
    step = WIDTH // len(counts)
    bars = "".join(
        f"M{at * step} {_SHORT}v-{_height(count, most)}h{step * 2 // 3}v{_height(count, most)}z"
        for at, count in enumerate(counts)
    )
    return Markup(
        '<svg class="days" viewBox="0 0 {w} {h}" preserveAspectRatio="none" role="img" aria-label="{label}">'
        '<title>{label}</title><path d="{bars}"/></svg>'
    ).format(w=WIDTH, h=_SHORT, label=label, bars=bars)


def _height(count: int, most: int) -> int:
    return max(_SHORT * count // most, _LEAST) if count else 1


def _draw_grid(value: float, part: float, unit: str) -> Markup:
    y = HEIGHT - _BOTTOM - part * (HEIGHT - _TOP - _BOTTOM)
    return Markup(
        '<line x1="{left}" x2="{w}" y1="{y:.1f}" y2="{y:.1f}"/>'
        '<text x="{at}" y="{y:.1f}" dy="4" class="end">{text}</text>'
    ).format(left=_LEFT, w=WIDTH, y=y, at=_LEFT - 8, text=abbreviate(value) + unit)


def round_up(value: float) -> float:
    """The smallest of 1, 2, 5, 10, 20, … that is not below ``value``."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    return next(power * step for step in (1, 2, 5, 10) if power * step >= value or step == 10)


def _day(time: float) -> str:
    return day(datetime.fromtimestamp(time, UTC).date())


def _thin(points: Sequence[Point]) -> Sequence[Point]:
    step = -(-len(points) // _MAX_POINTS)
    return [*points[:-1:step], points[-1]]
