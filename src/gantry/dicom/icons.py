"""Icons of a compressed instance, which are compressed as the instance is (PS3.3 §F.7, PS3.5 §A.4)."""

from __future__ import annotations

from gantry.dicom.cells import pack_cells
from gantry.dicom.elements import EXPLICIT_LE, DataSet, Element, Item
from gantry.dicom.file_meta import implicit_head
from gantry.dicom.frames import decode_frames
from gantry.dicom.image_source import read_image_pixel
from gantry.dicom.open_source import WholeInstance, read_icon
from gantry.dicom.rewriting import Changes, NewElement, number_element, place_elements, rewrite, text_element
from gantry.dicom.tags import (
    HIGH_BIT,
    ICON_IMAGE_SEQUENCE,
    ITEM,
    PHOTOMETRIC_INTERPRETATION,
    PIXEL_DATA,
    PLANAR_CONFIGURATION,
)
from gantry.errors import StatusError


def convert_icons(instance: WholeInstance) -> Changes:
    """A new encoding of the instance cannot leave its icon in the old one: it becomes native, or goes if broken."""
    if not instance.is_encapsulated:
        return {}
    for element, _ in instance.placed:
        if element.tag == ICON_IMAGE_SEQUENCE:
            return {ICON_IMAGE_SEQUENCE: _convert_sequence(instance, element)}
    return {}


def _convert_sequence(instance: WholeInstance, sequence: Element) -> NewElement | None:
    try:
        items = [_convert_item(instance, item) for item in instance.data_set.read_items(sequence)]
    except StatusError:
        return None
    return NewElement("SQ", b"".join(implicit_head(ITEM, len(item)) + item for item in items))


def _convert_item(instance: WholeInstance, item: Item) -> bytes:
    elements = {element.tag: element for element in item.elements()}
    alone = DataSet(instance.data_set.data[item.start : item.find_stop()], item.encoding)
    changes: Changes = {}
    if PIXEL_DATA in elements and elements[PIXEL_DATA].undefined_length:
        icon = read_icon(instance, item)
        frame = next(decode_frames(icon, read_image_pixel(icon), lambda: None))
        value = bytes(pack_cells(frame.pixels, frame.image))
        changes = {
            PIXEL_DATA: NewElement("OW", value + b"\0" * (len(value) % 2)),
            PHOTOMETRIC_INTERPRETATION: text_element("CS", frame.image.photometric_interpretation),
            HIGH_BIT: number_element(frame.image.high_bit),
        }
        if PLANAR_CONFIGURATION in elements:
            changes[PLANAR_CONFIGURATION] = number_element(0)
    return b"".join(rewrite(alone, place_elements(alone), changes, EXPLICIT_LE))
