"""Frames as one native Pixel Data value (PS3.5 §8.1)."""

from __future__ import annotations

from dataclasses import replace

from gantry.dicom.buffers import Buffer
from gantry.dicom.frames import Beat, decode_frames
from gantry.dicom.image_source import MAX_FILE, ImagePixel, Source
from gantry.errors import FailedPrecondition


def decode_to_native(source: Source, image: ImagePixel, beat: Beat) -> tuple[Buffer, ImagePixel]:
    """The value, of even length, and what describes it. Raises FailedPrecondition, InvalidArgument."""
    import numpy as np

    from gantry.dicom.cells import pack_cells

    if image.decoded_bytes * image.number_of_frames > MAX_FILE:
        raise FailedPrecondition(f"the pixels would take more than {MAX_FILE} bytes")
    if image.bits_allocated == 1:
        value: Buffer
        bits, after = [], image
        for frame in decode_frames(source, image, beat):
            bits.append(frame.pixels.reshape(-1))
            after = frame.image
        value = np.packbits(np.concatenate(bits), bitorder="little").tobytes()
    else:
        parts, after = list[Buffer](), image
        for frame in decode_frames(source, image, beat):
            parts.append(pack_cells(frame.pixels, frame.image))
            after = keep_widest(after, frame.image)
        value = b"".join(parts) if len(parts) > 1 else parts[0]
    return b"".join((value, b"\0")) if len(value) % 2 else value, after


def keep_widest(known: ImagePixel, latest: ImagePixel) -> ImagePixel:
    """Frames of an instance share their attributes: where a bitstream has more bits than declared, the most count."""
    if known.bits_stored <= latest.bits_stored:
        return latest
    return replace(latest, bits_stored=known.bits_stored, high_bit=known.high_bit)
