"""VOI windows: how they are read, which are allowed, and what they make of values (PS3.3 §C.11.2.1.2, §C.11.2.1.3)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from gantry.dicom.cells import Pixels
from gantry.errors import InvalidArgument

NO_NUMBER = (TypeError, ValueError, OverflowError)
"""What ``first_number`` raises for text that is no number."""
_EXACT = ("LINEAR_EXACT", "SIGMOID")


class Window(NamedTuple):
    """A VOI window instead of the instance's own; ``function`` as in VOILUTFunction (PS3.3 §C.11.2.1.3)."""

    center: float
    width: float
    function: str

    @property
    def is_valid(self) -> bool:
        """LINEAR needs a width of at least 1, the other functions one above 0 (PS3.3 §C.11.2.1.2.1, §C.11.2.1.3)."""
        is_wide = self.width > 0 if self.function in _EXACT else self.width >= 1
        return is_wide and math.isfinite(self.center) and math.isfinite(self.width)


def require_window(window: Window) -> None:
    """Raises InvalidArgument for a window that somebody asked for and that shows nothing."""
    if not window.is_valid:
        least = "above 0" if window.function in _EXACT else "of at least 1"
        raise InvalidArgument(f"window: {window.function} needs a width {least}, not {window.width:g}")


def read_window(ds: Any) -> Window | None:
    """The first window is the one to show (PS3.3 §C.11.2.1.2.1). One that is invalid counts as none, as in dcmtk."""
    try:
        center, width = first_number(ds, "WindowCenter"), first_number(ds, "WindowWidth")
    except NO_NUMBER:
        return None
    function = str(ds.get("VOILUTFunction") or "LINEAR").strip().upper()
    found = Window(center, width, function) if center is not None and width is not None else None
    return found if found is not None and found.is_valid else None


def first_number(ds: Any, keyword: str) -> float | None:
    """The first of one or more numbers; None where there is none. Raises what ``NO_NUMBER`` lists."""
    value = ds.get(keyword)
    if hasattr(value, "__getitem__") and not isinstance(value, (str, bytes)):
        value = value[0] if len(value) else None
    return None if value is None or value == "" else float(value)


def window(values: Pixels, center: float, width: float, function: str) -> Pixels:
    """PS3.3 §C.11.2.1.2 and §C.11.2.1.3, with output from 0 to 1. LINEAR of width 1 is a step."""
    if function == "SIGMOID" and width > 0:
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700))))
    low, span = ramp(center, width, function)
    if span <= 0:
        return np.where(values > low, 1.0, 0.0)
    return np.clip((values - low) / span, 0, 1)


def ramp(center: float, width: float, function: str) -> tuple[float, float]:
    """The value that becomes black, and how far above it white is."""
    if function == "LINEAR_EXACT":
        return center - width / 2, width
    return center - 0.5 - (width - 1) / 2, width - 1
