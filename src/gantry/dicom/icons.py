"""Pixel data in sequences of a compressed instance, as icons are: compressed as the instance is (PS3.5 §A.4).

A new encoding of the instance cannot leave them in the old one: they become native, at any depth.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gantry.dicom.elements import Element
from gantry.dicom.frames import Beat
from gantry.dicom.image_source import ImagePixel, read_image_pixel
from gantry.dicom.native_pixels import decode_to_native
from gantry.dicom.open_source import WholeInstance, read_icon
from gantry.dicom.rewriting import Inside, NewElement, Placed, number_element, text_element
from gantry.dicom.tags import (
    BITS_STORED,
    HIGH_BIT,
    ICON_IMAGE_SEQUENCE,
    OFFSET_TABLE,
    OFFSET_TABLE_LENGTHS,
    PHOTOMETRIC_INTERPRETATION,
    PIXEL_DATA,
    PLANAR_CONFIGURATION,
    TOTAL_PIXEL_LENGTH,
    format_tag,
)
from gantry.dicom.traversal import Kind, read_steps
from gantry.errors import FailedPrecondition, InvalidArgument, StatusError

_PIXEL_DATA = re.compile(rb"\xe0\x7f\x10\0")
"""Its tag: encapsulated pixel data is little endian. Few sequences hold these bytes, so few are walked."""


def convert_icons(instance: WholeInstance, beat: Beat) -> Inside:
    """What takes the place of compressed pixels in sequences, and of what describes them.

    An icon that cannot be decoded goes. Raises FailedPrecondition for other pixels that cannot.
    """
    found: Inside = {}
    for placed in instance.placed:
        element = placed[0]
        is_sequence = element.vr in ("", "UN", "SQ") and element.tag != PIXEL_DATA
        if is_sequence and _PIXEL_DATA.search(instance.data_set.data, element.value, element.stop):
            found |= _convert_sequence(instance, placed, beat)
    return found


def _convert_sequence(instance: WholeInstance, placed: Placed, beat: Beat) -> Inside:
    """Nothing for a sequence whose items cannot be told apart: it stays a value of bytes."""
    sequence, scope = placed
    found: Inside = {}
    items: list[list[Element]] = []
    try:
        for step in read_steps(instance.data_set, iter((sequence,)), scope):
            if step.kind is Kind.ITEM:
                items.append([])
            elif step.kind is Kind.ITEM_END:
                found |= _convert_item(instance, items.pop(), step.element, beat)
            elif items and step.kind in (Kind.VALUE, Kind.SEQUENCE):
                items[-1].append(step.element)
    except InvalidArgument:
        return {}
    return found


def _convert_item(instance: WholeInstance, elements: Sequence[Element], sequence: Element, beat: Beat) -> Inside:
    if not any(element.tag == PIXEL_DATA and element.undefined_length for element in elements):
        return {}
    try:
        source = read_icon(instance, elements, sequence.stop)
        image = read_image_pixel(source)
        value, after = decode_to_native(source, image, beat)
    except StatusError as error:
        if sequence.tag == ICON_IMAGE_SEQUENCE:
            return {sequence.start: None}
        raise FailedPrecondition(f"the pixels in {format_tag(sequence.tag)}: {error.message}") from None
    new: dict[int, NewElement | None] = dict.fromkeys((OFFSET_TABLE, OFFSET_TABLE_LENGTHS, TOTAL_PIXEL_LENGTH))
    new |= {PIXEL_DATA: NewElement("OW", value), **_describe(image, after)}
    first = {element.tag: element for element in reversed(elements)}
    return {first[tag].start: change for tag, change in new.items() if tag in first}


def _describe(before: ImagePixel, after: ImagePixel) -> dict[int, NewElement]:
    """The attributes that are other ones now."""
    found = {}
    if before.photometric_interpretation != after.photometric_interpretation:
        found[PHOTOMETRIC_INTERPRETATION] = text_element("CS", after.photometric_interpretation)
    if before.planar_configuration != after.planar_configuration:
        found[PLANAR_CONFIGURATION] = number_element(after.planar_configuration)
    if before.bits_stored != after.bits_stored:
        found[BITS_STORED] = number_element(after.bits_stored)
    if before.high_bit != after.high_bit:
        found[HIGH_BIT] = number_element(after.high_bit)
    return found
