"""Frames of one instance for DICOMweb: as bitstreams, or rendered as pictures (PS3.18 §8.3.5, §10.4). Workers only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from gantry.dicom import forms
from gantry.dicom.representations import contain_errors
from gantry.errors import FailedPrecondition, InvalidArgument

if TYPE_CHECKING:
    from gantry.dicom.buffers import Readable
    from gantry.dicom.cells import Pixels

MAX_VIEW_FRAME = 50_000_000
MAX_BYTES = 1 << 30
MAX_VIEW_SIDE = 10_000
_NATIVE = (forms.AS_STORED, *forms.NATIVE_TARGETS)


class Viewport(NamedTuple):
    """PS3.18 §8.3.5.1.3: the size to fit into, and the part of the picture; None stands for the rest of a side.

    A negative ``source_width`` or ``source_height`` flips the picture.
    """

    width: int
    height: int
    x: int = 0
    y: int = 0
    source_width: int | None = None
    source_height: int | None = None


@dataclass(frozen=True, slots=True)
class View:
    """How to render. ``window`` is center, width and VOI LUT function; ``quality`` from 1 to 100, JPEG only."""

    media_type: str
    viewport: Viewport | None = None
    window: tuple[float, float, str] | None = None
    quality: int = forms.JPEG_QUALITY


def rendered(opened: Readable, view: View, wanted: Sequence[int] | None, beat: Callable[[], None]) -> Iterator[bytes]:
    """Frames as JPEG or PNG: all, or those ``wanted`` by numbers from 0. Raises StatusError alone."""
    return contain_errors(_render(opened, view, wanted, beat))


def _render(opened: Readable, view: View, wanted: Sequence[int] | None, beat: Callable[[], None]) -> Iterator[bytes]:
    from gantry.dicom.frames import decode_frames, require_frame_numbers
    from gantry.dicom.image_source import read_image_pixel
    from gantry.dicom.open_source import open_source
    from gantry.dicom.rendering import render_frame, require_media_type, to_jpeg, to_png
    from gantry.dicom.windows import Window, require_window

    window = None if view.window is None else Window(*view.window)
    if window is not None:
        require_window(window)
    beat()
    source = open_source(opened)
    image = read_image_pixel(source)
    numbers = require_frame_numbers(image, wanted)
    if view.viewport is not None and image.decoded_bytes > MAX_VIEW_FRAME:
        raise FailedPrecondition(f"a frame has {image.decoded_bytes} bytes; up to {MAX_VIEW_FRAME} can be scaled")
    for number, frame in zip(numbers, decode_frames(source, image, beat, numbers), strict=True):
        require_media_type(frame.image, view.media_type)
        shown = render_frame(frame, source.ds, number, window)
        if view.viewport is not None:
            shown = _fit(shown, view.viewport)
        yield to_jpeg(shown, view.quality) if view.media_type == forms.JPEG else to_png(shown)


def _fit(shown: Pixels, viewport: Viewport) -> Pixels:
    """The part of the picture, as large as fits into the viewport with its proportions kept."""
    import numpy as np
    from PIL import Image

    rows, columns = shown.shape[:2]
    width, flip_x = _extent(viewport.source_width, columns - viewport.x)
    height, flip_y = _extent(viewport.source_height, rows - viewport.y)
    part = shown[viewport.y : viewport.y + height, viewport.x : viewport.x + width]
    if not part.size:
        raise InvalidArgument(f"the viewport begins outside of the picture of {columns} columns and {rows} rows")
    part = part[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
    rows, columns = part.shape[:2]
    scale = min(viewport.width / columns, viewport.height / rows)
    size = max(1, round(columns * scale)), max(1, round(rows * scale))
    return np.asarray(Image.fromarray(np.ascontiguousarray(part)).resize(size, Image.Resampling.BILINEAR))


def _extent(asked: int | None, left: int) -> tuple[int, bool]:
    return (left, False) if asked is None else (abs(asked), asked < 0)


def frame_bitstreams(
    opened: Readable,
    transfer_syntax_uid: str,
    wanted: Sequence[int] | None,
    beat: Callable[[], None],
    path: tuple[int, ...] = (),
) -> Iterator[bytes]:
    """Frames in a transfer syntax, ``""`` for the one they are stored in. Raises StatusError alone.

    With ``path``, to its Pixel Data, those of an icon in the instance.
    """
    return contain_errors(_read_bitstreams(opened, transfer_syntax_uid, wanted, beat, path))


def _read_bitstreams(
    opened: Readable, syntax: str, wanted: Sequence[int] | None, beat: Callable[[], None], path: tuple[int, ...]
) -> Iterator[bytes]:
    from gantry.dicom.frames import decode_frames, read_stored_frames, require_frame_numbers
    from gantry.dicom.image_source import read_image_pixel
    from gantry.dicom.open_source import open_source

    beat()
    source = open_source(opened, path)
    image = read_image_pixel(source)
    numbers = require_frame_numbers(image, wanted)
    if image.decoded_bytes * len(numbers) > MAX_BYTES:
        raise InvalidArgument(f"{len(numbers)} frames have more than {MAX_BYTES} bytes; ask for fewer")
    stored = (forms.AS_STORED, source.transfer_syntax_uid) if source.encapsulated else _NATIVE
    if syntax in stored and (source.encapsulated or image.bits_allocated > 1):
        # Colour planes stay as they are: the metadata describes them.
        yield from read_stored_frames(source, image, beat, numbers)
    elif syntax in _NATIVE:
        from gantry.dicom.cells import pack_cells

        by_plane = source.encapsulated and image.samples_per_pixel > 1 and image.planar_configuration
        for frame in decode_frames(source, image, beat, numbers):
            cells = frame.pixels.transpose(2, 0, 1) if by_plane else frame.pixels
            yield bytes(pack_cells(cells, frame.image))
    else:
        from gantry.dicom.encoders import encode_frame

        for frame in decode_frames(source, image, beat, numbers):
            yield encode_frame(syntax, frame)[0]
