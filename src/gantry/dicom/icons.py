"""Icons of a compressed instance, which are compressed as the instance is (PS3.3 §F.7, PS3.5 §A.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydicom.dataelem import DataElement

from gantry.dicom.cells import packed
from gantry.dicom.frames import frames_of
from gantry.dicom.image_source import PIXEL_DATA, PixelElement, Source, read_image_pixel
from gantry.errors import StatusError

ICON_IMAGE_SEQUENCE = 0x00880200


def native_icons(source: Source) -> dict[int, DataElement | None]:
    """A new encoding of the instance cannot leave its icon in the old one: it becomes native, or goes if broken."""
    if not source.encapsulated or ICON_IMAGE_SEQUENCE not in source.ds:
        return {}
    sequence = source.ds[ICON_IMAGE_SEQUENCE]
    try:
        for item in sequence.value:
            if PIXEL_DATA in item and item[PIXEL_DATA].is_undefined_length:
                _make_native(source, item)
    except StatusError:
        return {ICON_IMAGE_SEQUENCE: None}
    return {ICON_IMAGE_SEQUENCE: sequence}


def _make_native(source: Source, item: Any) -> None:
    pixels = PixelElement(PIXEL_DATA, "OB", bytes(item[PIXEL_DATA].value), True)
    icon = replace(source, ds=item, pixels=pixels)
    frame = next(frames_of(icon, read_image_pixel(icon), lambda: None))
    value = packed(frame.pixels, frame.image)
    item[PIXEL_DATA] = DataElement(PIXEL_DATA, "OW", value + b"\0" * (len(value) % 2))
    item.PhotometricInterpretation = frame.image.photometric_interpretation
    item.HighBit = frame.image.high_bit
    if "PlanarConfiguration" in item:
        item.PlanarConfiguration = 0
