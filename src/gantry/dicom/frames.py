"""The frames of an instance, decoded one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from gantry.dicom.image_source import ImagePixel, Source, correct_422, read_encoded_frames, read_native_value
from gantry.errors import NoSuchFrame, StatusError

if TYPE_CHECKING:
    from gantry.dicom.codecs import Frame

Beat = Callable[[], None]


def decode_frames(
    source: Source, image: ImagePixel, beat: Beat, wanted: Sequence[int] | None = None
) -> Iterator[Frame]:
    """Frames decoded, one at a time: all, or those ``wanted``, by numbers from 0. Raises NoSuchFrame."""
    from gantry.dicom.cells import describe_interleaved, read_native_frame
    from gantry.dicom.codecs import Frame

    numbers = require_frame_numbers(image, wanted)
    if source.encapsulated:
        bitstreams = read_encoded_frames(source, image)
        for number in numbers:
            beat()
            yield _decode_numbered(source, image, bitstreams, number)
        return
    value = read_native_value(source, image)
    described = correct_422(len(value), image)
    for number in numbers:
        beat()
        yield Frame(read_native_frame(value, number, described), describe_interleaved(described))


def _decode_numbered(source: Source, image: ImagePixel, bitstreams: Sequence[bytes], number: int) -> Frame:
    """Of several frames, an error says which one it is about."""
    from gantry.dicom.codecs import decode_frame

    try:
        return decode_frame(source.transfer_syntax_uid, bitstreams[number], image)
    except StatusError as error:
        if not image.is_multi_frame:
            raise
        of_a_frame = error.message.removeprefix("a frame ")
        mark = " " if of_a_frame != error.message else ": "
        raise type(error)(f"frame {number + 1}{mark}{of_a_frame}") from None


def read_stored_frames(source: Source, image: ImagePixel, beat: Beat, numbers: Sequence[int]) -> Iterator[bytes]:
    """Frames as they are stored, by numbers from 0: bitstreams, or native cells of 8 bits or more, also by plane."""
    if source.encapsulated:
        bitstreams = read_encoded_frames(source, image)
        for number in numbers:
            beat()
            yield bitstreams[number]
        return
    value = read_native_value(source, image)
    size = correct_422(len(value), image).frame_bits // 8
    for number in numbers:
        beat()
        yield bytes(value[number * size : (number + 1) * size])


def require_frame_numbers(image: ImagePixel, wanted: Sequence[int] | None) -> Sequence[int]:
    """Raises NoSuchFrame for a frame that is not there (PS3.18 §10.4.1.1.6)."""
    if wanted is None:
        return range(image.number_of_frames)
    for number in (*wanted[:1], *wanted[-1:]) if isinstance(wanted, range) else wanted:
        if not 0 <= number < image.number_of_frames:
            raise NoSuchFrame(f"frame {number + 1} does not exist; the instance has {image.number_of_frames}")
    return wanted
