"""``schemaJson``: all elements of a header as DICOM JSON in one column, without bulk data."""

from __future__ import annotations

from gantry.dicom.elements import resolve_vr
from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.json_model import JsonWriter
from gantry.dicom.json_values import BULK_MEMBER
from gantry.dicom.vr import OCTETS
from gantry.table_schema import Columns
from gantry.tables.columns import METADATA, name_tag
from gantry.tables.values import write_dropped

_ADDRESS = "-"  # of bulk data, which is left out
_HEAD = len('"GGGGEEEE":{"vr":"VR",')  # of a member, up to its address
_PIXEL_DATA = (b"\xe0\x7f\x10\0", b"\x7f\xe0\0\x10")  # its tag, little and big endian
_NUL = "\\u0000"


class JsonBody:
    """Members of rows; see ``rows.Body``."""

    def __init__(self) -> None:
        self._writer = JsonWriter()

    def write(self, header: HeaderBytes) -> tuple[str, str]:
        """Raises InvalidArgument."""
        text = self._writer.write(header, _ADDRESS)
        if BULK_MEMBER in text:
            text = _drop_bulk(text)
        if _NUL in text:
            text = text.replace(_NUL, "\\ufffd")
        return f',"{METADATA}":{text}{write_dropped(_name_cut(header))}', ""

    def list_columns(self) -> Columns:
        return ()


def _drop_bulk(text: str) -> str:
    """Without the members that are addresses. A quotation mark inside of a value is escaped, so none looks like one."""
    kept, at = list[str](), 0
    found = text.find(f"{BULK_MEMBER}:")
    while found >= 0:
        begin, end = found - _HEAD, text.index("}", found) + 1
        if text[begin - 1] == "," and begin > at:  # else it went with the member before
            begin -= 1
        elif text[end] == ",":
            end += 1
        kept.append(text[at:begin])
        at, found = end, text.find(f"{BULK_MEMBER}:", end)
    return "".join((*kept, text[at:]))


def _name_cut(header: HeaderBytes) -> list[str]:
    """What was too long for a header and is no bulk data."""
    places = [place for place, _ in header.cuts if header.body[place : place + 4] not in _PIXEL_DATA]
    if not places:
        return []
    data_set = header.data_set()
    found = (data_set.read_element(place, len(header.body), header.encoding) for place in places)
    names = (name_tag(each.tag) for each in found if resolve_vr(each.tag, each.vr, 0) not in OCTETS)
    return list(names)
