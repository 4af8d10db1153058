"""One instance → the files of one export form. Runs in workers, under the watch of whoever counts the beats.

The door between the codecs and the rest: whatever the bytes of an instance are, nothing but a ``StatusError`` comes
out. (A codec that takes the whole process with it is the watchdog's business.)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from gantry.dicom import forms
from gantry.dicom.forms import Form
from gantry.errors import FailedPrecondition, InvalidArgument, StatusError

if TYPE_CHECKING:
    from gantry.dicom.buffers import Readable
    from gantry.dicom.image_source import Source

_NOT_INSTALLED = "transcoding and rendering need codecs that are not installed: `pip install 'gantry-dicom[pixels]'`"


Result = TypeVar("Result")
logger = logging.getLogger(__name__)


class Part(NamedTuple):
    """One file. ``frame`` is 0 for the whole instance, else the frame's number from 1 in a multi-frame instance."""

    frame: int
    extension: str
    data: bytes


def represent(opened: Readable, form: Form, beat: Callable[[], None]) -> Iterator[Part]:
    """The files of an instance in a form; ``beat`` is called before every frame. Raises StatusError alone."""
    return contain_errors(_write_parts(opened, form, beat))


def contain_errors(made: Iterator[Result]) -> Iterator[Result]:
    """What codecs make of untrusted bytes, with every error of theirs as a StatusError in our words.

    What a library says, its paths and its tracebacks are for the log, and never for a caller.
    """
    try:
        yield from made
    except (KeyboardInterrupt, SystemExit, GeneratorExit, StatusError):
        raise
    except ImportError as error:
        logger.error("a codec is missing", exc_info=error)
        raise FailedPrecondition(_NOT_INSTALLED) from None
    except MemoryError:
        raise FailedPrecondition("the instance needs more memory than there is") from None
    except BaseException as error:  # a panic of a codec in Rust is not an Exception
        logger.warning("an instance cannot be read for its pixels", exc_info=error)
        raise InvalidArgument("the instance cannot be read: its header or its pixels are damaged") from None


def _write_parts(opened: Readable, form: Form, beat: Callable[[], None]) -> Iterator[Part]:
    from gantry.dicom.image_source import read_number_of_frames
    from gantry.dicom.open_source import open_source, require_size

    beat()
    if form.media_type == forms.DICOM:
        yield Part(0, ".dcm", _write_instance(opened, form.transfer_syntax_uid, beat))
        return
    require_size(opened)
    source = open_source(opened)
    is_stored = form == Form(forms.OCTETS, forms.AS_STORED)
    write = _write_stored if is_stored else _write_octets if form.media_type == forms.OCTETS else _render_pictures
    extension = {forms.JPEG: ".jpg", forms.PNG: ".png"}.get(form.media_type, "")
    is_multi_frame = read_number_of_frames(source) > 1
    for number, data in enumerate(write(source, form, beat), 1):
        yield Part(number if is_multi_frame else 0, extension, data)


def _write_instance(opened: Readable, syntax: str, beat: Callable[[], None]) -> bytes:
    """``syntax`` ``""`` stands for the stored one."""
    from gantry.dicom.image_source import require_frames
    from gantry.dicom.open_source import read_instance
    from gantry.dicom.transcoding import transcode

    instance = read_instance(opened)
    stored = instance.header.transfer_syntax_uid
    require_frames(stored)
    return transcode(instance, syntax or stored, beat)


def _write_stored(source: Source, form: Form, beat: Callable[[], None]) -> Iterator[bytes]:
    """The bytes of the stored frames."""
    from gantry.dicom.frames import read_stored_frames

    yield from read_stored_frames(source, beat, None)


def _write_octets(source: Source, form: Form, beat: Callable[[], None]) -> Iterator[bytes]:
    """Raw frames: explicit little endian cells."""
    from gantry.dicom.cells import pack_cells
    from gantry.dicom.frames import decode_frames, read_stored_frames
    from gantry.dicom.image_source import has_plain_cells, read_image_pixel

    if has_plain_cells(source):
        yield from read_stored_frames(source, beat, None)
        return
    for frame in decode_frames(source, read_image_pixel(source), beat):
        yield bytes(pack_cells(frame.pixels, frame.image))


def _render_pictures(source: Source, form: Form, beat: Callable[[], None]) -> Iterator[bytes]:
    from gantry.dicom.frames import decode_frames
    from gantry.dicom.image_source import read_image_pixel
    from gantry.dicom.rendering import render_frame, require_media_type, to_jpeg, to_png

    write = to_jpeg if form.media_type == forms.JPEG else to_png
    for number, frame in enumerate(decode_frames(source, read_image_pixel(source), beat)):
        require_media_type(frame.image, form.media_type)
        yield write(render_frame(frame, source.ds, number))
