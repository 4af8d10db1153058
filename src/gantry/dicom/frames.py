"""The frames of an instance, decoded one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from gantry.dicom.buffers import Sliceable
from gantry.dicom.encapsulation import EncodedFrames
from gantry.dicom.image_source import (
    MAX_FRAME,
    ImagePixel,
    Source,
    correct_422,
    read_encoded_frames,
    read_frame_bits,
    read_frame_table,
    read_native_value,
    read_number_of_frames,
    require_pixels,
)
from gantry.errors import FailedPrecondition, NoSuchFrame, StatusError

if TYPE_CHECKING:
    from gantry.dicom.codecs import Frame

Beat = Callable[[], None]


def decode_frames(
    source: Source, image: ImagePixel, beat: Beat, wanted: Sequence[int] | None = None
) -> Iterator[Frame]:
    """Frames decoded, one at a time: all, or those ``wanted``, by numbers from 0. Raises NoSuchFrame."""
    from gantry.dicom.cells import describe_interleaved, read_native_frame
    from gantry.dicom.codecs import Frame

    numbers = require_frame_numbers(image.number_of_frames, wanted)
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


def read_stored_frames(source: Source, beat: Beat, wanted: Sequence[int] | None) -> Iterator[bytes]:
    """Frames as they are stored, all or those ``wanted``: bitstreams, or native cells, also by plane.

    Frames of single bits begin at a byte. Raises NoSuchFrame, InvalidArgument, FailedPrecondition.
    """
    if source.encapsulated:
        frames = read_number_of_frames(source)
        numbers = require_frame_numbers(frames, wanted)
        bitstreams = EncodedFrames(require_pixels(source).value, read_frame_table(source, frames))
        for number in numbers:
            beat()
            yield bitstreams[number]
        return
    image = read_frame_bits(source)
    numbers = require_frame_numbers(image.number_of_frames, wanted)
    value = read_native_value(source, image)
    bits = correct_422(len(value), image).frame_bits
    if bits // 8 > MAX_FRAME:
        raise FailedPrecondition(f"a frame has {bits // 8} bytes; up to {MAX_FRAME} can be read at a time")
    for number in numbers:
        beat()
        yield _cut_frame(value, number, bits)


def _cut_frame(value: Sliceable, number: int, bits: int) -> bytes:
    """Bits follow each other from the lowest of each byte, so that a frame may begin inside of one (PS3.5 §8.1.1)."""
    start, skipped = divmod(number * bits, 8)
    data = value[start : start + (skipped + bits + 7) // 8]
    if not skipped and not bits % 8:
        return bytes(data)
    return (int.from_bytes(data, "little") >> skipped & (1 << bits) - 1).to_bytes((bits + 7) // 8, "little")


def require_frame_numbers(frames: int, wanted: Sequence[int] | None) -> Sequence[int]:
    """Those ``wanted`` of so many frames, all for None. Raises NoSuchFrame where one is not there (§10.4.1.1.6)."""
    if wanted is None:
        return range(frames)
    for number in (*wanted[:1], *wanted[-1:]) if isinstance(wanted, range) else wanted:
        if not 0 <= number < frames:
            raise NoSuchFrame(f"frame {number + 1} does not exist; the instance has {frames}")
    return wanted
