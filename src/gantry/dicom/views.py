"""Frames of one instance for DICOMweb: as bitstreams, or rendered as pictures (PS3.18 §8.3.5, §10.4). Workers only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from gantry.dicom import forms
from gantry.dicom.representations import contain_errors
from gantry.errors import FailedPrecondition, InvalidArgument

if TYPE_CHECKING:
    from gantry.dicom.buffers import Readable
    from gantry.dicom.cells import Pixels
    from gantry.dicom.image_source import ImagePixel

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
    """How to render. ``window`` is center, width and VOI LUT function; ``quality`` from 1 to 100, JPEG only.

    ``annotations`` are those that are wanted (PS3.18 §8.3.5.1.1), ``texts`` the lines that they are, for the upper and
    the lower corner. ``icc_profile`` is ``yes``, a colour space, or "" for none (§8.3.5.1.5).
    """

    media_type: str
    viewport: Viewport | None = None
    window: tuple[float, float, str] | None = None
    quality: int = forms.JPEG_QUALITY
    annotations: tuple[str, ...] = ()
    texts: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    icc_profile: str = ""


def rendered(opened: Readable, view: View, wanted: Sequence[int] | None, beat: Callable[[], None]) -> Iterator[bytes]:
    """Frames as JPEG or PNG: all, or those ``wanted`` by numbers from 0. Raises StatusError alone."""
    return contain_errors(_render(opened, view, wanted, beat))


def _render(opened: Readable, view: View, wanted: Sequence[int] | None, beat: Callable[[], None]) -> Iterator[bytes]:
    from gantry.dicom.frame_profiles import FrameProfiles
    from gantry.dicom.frames import decode_frames, require_frame_numbers
    from gantry.dicom.image_source import read_image_pixel
    from gantry.dicom.open_source import open_source
    from gantry.dicom.rendering import render_frame, require_media_type
    from gantry.dicom.windows import Window, require_window

    window = None if view.window is None else Window(*view.window)
    if window is not None:
        require_window(window)
    beat()
    source = open_source(opened)
    image = read_image_pixel(source)
    numbers = require_frame_numbers(image.number_of_frames, wanted)
    if view.viewport is not None and image.decoded_bytes > MAX_VIEW_FRAME:
        raise FailedPrecondition(f"a frame has {image.decoded_bytes} bytes; up to {MAX_VIEW_FRAME} can be scaled")
    profiles = FrameProfiles(opened, source, image)
    require_media_type(image, view.media_type)  # before a frame is decoded, and of what the bitstream has after that
    for number, frame in zip(numbers, decode_frames(source, image, beat, numbers), strict=True):
        require_media_type(frame.image, view.media_type)
        shown = render_frame(frame, source.ds, number, window)
        if view.viewport is not None:
            shown = _fit(shown, view.viewport)
        yield _finish(shown, view, image, number, partial(profiles.find, number))


def _finish(
    shown: Pixels, view: View, image: ImagePixel, number: int, read_profile: Callable[[], bytes | None]
) -> bytes:
    """Colours, then text, as the pipelines of PS3.4 §N.2 have it, then the file."""
    from gantry.dicom.rendering import to_jpeg, to_png

    profile = b""
    if view.icc_profile:
        from gantry.dicom.icc_profiles import apply_profile

        shown, profile = apply_profile(shown, view.icc_profile, read_profile)
    if any(view.texts):
        from gantry.dicom.annotations import annotate

        above, below = view.texts
        of_frame = (f"Frame: {number + 1}/{image.number_of_frames}",) if below and image.is_multi_frame else ()
        shown = annotate(shown, above, (*below, *of_frame))
    made = to_jpeg(shown, view.quality) if view.media_type == forms.JPEG else to_png(shown)
    if not profile:
        return made
    from gantry.dicom.icc_profiles import embed_profile

    return embed_profile(made, view.media_type, profile)


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
    if syntax in ((forms.AS_STORED, source.transfer_syntax_uid) if source.encapsulated else _NATIVE):
        # Colour planes stay as they are: the metadata describes them.
        yield from read_stored_frames(source, beat, wanted)
        return
    image = read_image_pixel(source)
    numbers = require_frame_numbers(image.number_of_frames, wanted)
    if image.decoded_bytes * len(numbers) > MAX_BYTES:
        raise InvalidArgument(f"{len(numbers)} frames have more than {MAX_BYTES} bytes; ask for fewer")
    if syntax in _NATIVE:
        from gantry.dicom.cells import pack_cells

        by_plane = image.samples_per_pixel > 1 and image.planar_configuration
        for frame in decode_frames(source, image, beat, numbers):
            cells = frame.pixels.transpose(2, 0, 1) if by_plane else frame.pixels
            yield bytes(pack_cells(cells, frame.image))
    elif syntax == forms.JXL_JPEG:
        from gantry.dicom.transcoding import recompress_frames

        yield from recompress_frames(source, image, beat, numbers)
    else:
        from gantry.dicom.encoders import encode_frame, require_encodable

        require_encodable(syntax, image)  # before the frame is decoded, which may take seconds
        for frame in decode_frames(source, image, beat, numbers):
            yield encode_frame(syntax, frame)[0]
