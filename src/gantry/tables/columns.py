"""Which column an element has: its keyword, with type and mode of the data dictionary (PS3.6).

No element of two has the same name: of a repeating group (60xx) the first one has the column. Elements without a
column, private ones above all, are in ``OtherElements``.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from gantry.dicom import tags
from gantry.dicom.dictionary import first_of_repeated, keyword_of, vm_of, vr_of
from gantry.dicom.tags import SERIES, SOP_INSTANCE, STUDY, is_group_length
from gantry.matching import NAME_GROUPS
from gantry.table_schema import Column, Columns, Type

MAX_LEVELS = 15
"""Records inside of each other (https://cloud.google.com/bigquery/quotas, nested columns)."""

TYPES: dict[str, Type] = {
    **dict.fromkeys(("AE", "AS", "CS", "DS", "IS", "LO", "LT", "SH", "ST", "UC", "UI", "UR", "UT"), "STRING"),
    **dict.fromkeys(("AT", "SL", "SS", "SV", "UL", "US", "UV"), "INTEGER"),
    **dict.fromkeys(("FL", "FD"), "FLOAT"),
    "DA": "DATE",
    "TM": "TIME",
    "DT": "TIMESTAMP",
    "PN": "RECORD",
    "SQ": "RECORD",
}
"""VR → type. All other VRs are bulk data, which a table has not."""

NAME_PARTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
OTHER_ELEMENTS, DROPPED_TAGS, METADATA = "OtherElements", "DroppedTags", "Metadata"
_LAST = 1 << 32  # behind all tags


class ElementColumn(NamedTuple):
    """The column of an element. ``vr`` is that of the dictionary: PN and SQ are both RECORD."""

    name: str
    type: Type
    vr: str
    repeated: bool


@cache
def find_column(tag: int) -> ElementColumn | None:
    """None for elements without a name of their own, and for those that only hold bulk data."""
    if not has_name(tag):
        return None
    vr = _choose_vr(tag)
    if vr not in TYPES:
        return None
    return ElementColumn(keyword_of(tag), TYPES[vr], vr, vr == "SQ" or vm_of(tag) != "1")


@cache
def has_name(tag: int) -> bool:
    """Whether an element has a keyword that no other element has, or that is first among those that have it."""
    return bool(keyword_of(tag)) and first_of_repeated(tag) == tag


def _choose_vr(tag: int) -> str:
    """Of several that the dictionary leaves open (US or SS, US or OW) the first that has a type."""
    choices = vr_of(tag).split(" or ")
    return next((vr for vr in choices if vr in TYPES), choices[0])


def name_tag(tag: int) -> str:
    """What ``DroppedTags`` calls an element: its keyword, else ``Tag_GGGGEEEE``."""
    return keyword_of(tag) if has_name(tag) else f"Tag_{tag:08X}"


_NAME_FIELDS: Columns = tuple(
    Column(number, group, "RECORD", False, tuple(Column(at, part, "STRING") for at, part in enumerate(NAME_PARTS)))
    for number, group in enumerate(NAME_GROUPS)
)
_OTHERS = Column(_LAST, OTHER_ELEMENTS, "RECORD", True, (Column(0, "Tag", "STRING"), Column(1, "Data", "STRING", True)))

Tree = dict[int, "Tree"]
"""The tags that occur, each with those that occur in its items."""


def list_columns(tree: Tree) -> Columns:
    """The columns of what occurs. A sequence without a column in its items has none: no RECORD is empty."""
    tags = [tag for tag in sorted(tree) if not is_group_length(tag)]
    found = [_make_column(tag, tree[tag]) for tag in tags if has_name(tag)]
    columns = tuple(column for column in found if column is not None)
    return columns if all(map(has_name, tags)) else (*columns, _OTHERS)


def _make_column(tag: int, below: Tree) -> Column | None:
    about = find_column(tag)
    if about is None:
        return None
    fields = _NAME_FIELDS if about.vr == "PN" else list_columns(below)
    if about.type == "RECORD" and not fields:
        return None
    return Column(tag, about.name, about.type, about.repeated, fields if about.type == "RECORD" else ())


_UIDS = tuple(
    Column(tag, name, "STRING")
    for tag, name in ((STUDY, "StudyInstanceUID"), (SERIES, "SeriesInstanceUID"), (SOP_INSTANCE, "SOPInstanceUID"))
)
MODALITY = Column(tags.MODALITY, "Modality", "STRING")
"""The column of the element: the index has its value without a header."""

_SOURCE = Column(_LAST + 1, "SourceDicomStore", "STRING")
_STORED = (
    Column(_LAST + 3, "StructuredStorageSize", "INTEGER"),
    Column(_LAST + 4, DROPPED_TAGS, "STRING", True),
    Column(_LAST + 5, "StorageClass", "STRING"),
    Column(_LAST + 6, "LastUpdated", "TIMESTAMP"),
    Column(_LAST + 7, "BlobStorageSize", "INTEGER"),
    Column(_LAST + 8, "Type", "STRING"),
)


def list_fixed_columns(as_json: bool, has_source: bool) -> Columns:
    """The columns that a table has whatever is exported."""
    metadata = (Column(_LAST + 2, METADATA, "JSON"),) if as_json else ()
    return (*_UIDS, *((_SOURCE,) if has_source else ()), *metadata, *_STORED)
