"""Windows that PS3.3 §C.11.2.1.2.1 and §C.11.2.1.3 do not allow count as none, as in dcmtk."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gantry.dicom.views import View, rendered
from gantry.errors import InvalidArgument
from tests.pixels.instances import Extra, Opened, image
from tests.support.dicom import element

RAMP = np.arange(4096, dtype="<u2").reshape(64, 64)


def grey(extra: tuple[Extra, ...] = (), asked: tuple[float, float, str] | None = None, more: bytes = b"") -> Any:
    data = image(RAMP.tobytes(), 64, 64, bits=(16, 12, 11), extra=extra)
    at = data.index(b"\xe0\x7f\x10\x00")
    opened = Opened(data[:at] + more + data[at:])
    (shown,) = rendered(opened, View("image/png", window=asked), [0], lambda: None)
    return np.asarray(Image.open(BytesIO(shown)))


def window(center: str, width: str, function: str = "") -> tuple[Extra, ...]:
    named: tuple[Extra, ...] = ((0x28, 0x1056, b"CS", function),) if function else ()
    return ((0x28, 0x1050, b"DS", center), (0x28, 0x1051, b"DS", width), *named)


INVALID = [
    *(("0", "0", ""), ("2000", "-5", ""), ("2000", "0.5", "LINEAR"), ("2000", "0.999", ""), ("2000", "0", "SIGMOID")),
    *(("2000", "-1", "LINEAR_EXACT"), ("2000", "nan", ""), ("inf", "400", ""), ("2000", "", ""), ("", "400", "")),
    *(("2000", "0\\400", ""), ("a", "400", ""), ("2000", "0.5", "WHAT")),
]


@pytest.mark.parametrize(("center", "width", "function"), INVALID)
def test_a_picture_with_an_invalid_window_is_the_one_without(center: str, width: str, function: str) -> None:
    assert (grey(window(center, width, function)) == grey()).all()
    assert len(np.unique(grey())) == 256


@pytest.mark.parametrize(("width", "function"), [("0.5", "LINEAR_EXACT"), ("0.5", "SIGMOID"), ("1", "LINEAR")])
def test_a_narrow_window_that_is_allowed_is_used(width: str, function: str) -> None:
    shown = grey(window("2000", width, function)).reshape(-1)
    assert (shown[:1998] == 0).all() and (shown[2003:] == 255).all()


def test_an_invalid_window_of_a_frame_is_none_for_that_frame() -> None:
    """Functional groups: the instance's own window is not the frame's."""
    inside = b"".join(element(*item) for item in window("2000", "0"))
    item = element(0x28, 0x9132, b"SQ", b"\xfe\xff\x00\xe0" + len(inside).to_bytes(4, "little") + inside)
    shared = element(0x5200, 0x9229, b"SQ", b"\xfe\xff\x00\xe0" + len(item).to_bytes(4, "little") + item)
    assert (grey(more=shared) == grey()).all()


@pytest.mark.parametrize(("width", "function"), [(0.5, "LINEAR"), (0, "SIGMOID"), (-1, "LINEAR_EXACT"), (0, "LINEAR")])
def test_an_invalid_window_that_was_asked_for_is_refused(width: float, function: str) -> None:
    with pytest.raises(InvalidArgument, match=f"window: {function} needs a width"):
        grey(asked=(2000.0, width, function))


def test_a_window_that_was_asked_for_goes_before_an_invalid_one() -> None:
    assert (grey(window("0", "0"), (2000.0, 400.0, "LINEAR")) == grey(window("2000", "400"))).all()


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
def test_a_rescale_that_is_no_number_is_refused_in_own_words(keyword: str) -> None:
    number = {"RescaleIntercept": 0x1052, "RescaleSlope": 0x1053}[keyword]
    with pytest.raises(InvalidArgument, match=f"{keyword} is not a number"):
        grey(((0x28, number, b"DS", "a lot"),))
