"""The frames of an instance, decoded one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from gantry.dicom.cells import interleaved, native_frame
from gantry.dicom.codecs import Frame, decode_frame
from gantry.dicom.image_source import ImagePixel, Source, encoded_frames, native_value, require_pixels
from gantry.dicom.layout import Buffer

Beat = Callable[[], None]


def frames_of(source: Source, image: ImagePixel, beat: Beat) -> Iterator[Frame]:
    """Every frame decoded, one at a time."""
    if source.encapsulated:
        for data in encoded_frames(source, image):
            beat()
            yield decode_frame(source.transfer_syntax_uid, data, image)
        return
    value = native_value(source, image)
    # Cells of a byte lie in words, which big endian swaps, only where the VR says so (PS3.5 §A.3).
    big_endian = not source.little_endian and (image.bits_allocated > 8 or require_pixels(source).vr != "OB")
    described = true_422(value, image)
    for number in range(image.number_of_frames):
        beat()
        yield Frame(native_frame(value, number, described, big_endian), interleaved(described))


def true_422(value: Buffer, image: ImagePixel) -> ImagePixel:
    """Some writers say YBR_FULL_422 over samples that are all there."""
    full = replace(image, photometric_interpretation="YBR_FULL")
    if (
        image.photometric_interpretation == "YBR_FULL_422"
        and len(value) >= full.frame_bits * full.number_of_frames // 8
    ):
        return full
    return image
