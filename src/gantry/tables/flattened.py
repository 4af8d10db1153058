"""``schemaFlattened``: a column for each element of a header."""

from __future__ import annotations

from gantry.dicom.elements import DataSet, Element, Encoding
from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.json_drafts import is_in_order, put_in_order, update_context
from gantry.dicom.json_templates import Draft, Filled, Place, Template
from gantry.dicom.json_values import CONTEXT_TAGS, Context
from gantry.dicom.tags import SERIES, SOP_INSTANCE, STUDY
from gantry.table_schema import Columns
from gantry.tables.columns import OTHER_ELEMENTS, Tree, list_columns, name_tag
from gantry.tables.elements import ElementWriter, Member
from gantry.tables.values import write_string

MAX_ROW = 16 << 20
"""Characters of the elements of a row: the longest are dropped first. A line has to fit into memory several times."""

_UIDS = frozenset((STUDY, SERIES, SOP_INSTANCE))  # the row of the index says them
_OTHER, _DROPPED = "\1", "\2"
"""They enclose what stands elsewhere: one of ``OtherElements``, names of what was dropped. JSON has no such character.
"""

_ADDRESS = "-"  # templates are only made of what has one; nothing is written below it


class FlattenedBody:
    """Members of rows; see ``rows.Body``. Headers are compared with those before them (``json_templates``)."""

    def __init__(self) -> None:
        self._tree: Tree = {}
        writer = ElementWriter()
        self._meta, self._body = _AlikeWriter(writer, self._tree), _AlikeWriter(writer, self._tree)

    def write(self, header: HeaderBytes) -> tuple[str, list[str]]:
        """Raises InvalidArgument."""
        text = self._meta.write(header.meta_elements()) + self._body.write(header.data_set())
        dropped = list[str]()
        if _DROPPED in text:
            parts = text.split(_DROPPED)
            text, dropped = "".join(parts[::2]), parts[1::2]
        if _OTHER in text:
            parts = text.split(_OTHER)
            text = f'{"".join(parts[::2])},"{OTHER_ELEMENTS}":[{",".join(parts[1::2])}]'
        return text, dropped

    def list_columns(self) -> Columns:
        return list_columns(self._tree)


class _AlikeWriter:
    """The top level of data sets, one after the other."""

    def __init__(self, writer: ElementWriter, tree: Tree) -> None:
        self._writer, self._tree = writer, tree
        self._last: tuple[bytes, Draft] | None = None
        self._template: Template | None = None
        self._encoding: Encoding | None = None

    def write(self, data_set: DataSet) -> str:
        """Raises InvalidArgument."""
        text = self._write(data_set)
        return text if len(text) <= MAX_ROW else _shorten(self._draft(data_set))

    def _write(self, data_set: DataSet) -> str:
        if self._template is not None and data_set.encoding is self._encoding:
            size = len(data_set.data)
            found = self._template.compare(data_set, 0, size)
            if found is not None and found[1] == size:
                return self._fill(data_set, found[0], size)
        return self._write_in_full(data_set)

    def _fill(self, data_set: DataSet, filled: list[Filled], size: int) -> str:
        texts = list[str]()
        for text, slot, element in filled:
            texts.append(text)
            if slot is not None and element is not None:
                texts.append(self._write_leaf(data_set, element, size, slot.context))
        return "".join(texts)

    def _write_in_full(self, data_set: DataSet) -> str:
        draft = self._draft(data_set)
        is_alike = self._last is not None and data_set.encoding is self._encoding
        self._template = Template.of(*self._last, data_set.data, draft) if is_alike and self._last else None
        self._last, self._encoding = (bytes(data_set.data), draft), data_set.encoding
        return draft.text()

    def _draft(self, data_set: DataSet) -> Draft:
        """Every element is a leaf, sequences too."""
        elements, context = list(data_set.elements()), Context(data_set.encoding, "", -1, _ADDRESS)
        draft, size = Draft(0, _ADDRESS), len(data_set.data)
        draft.stop, draft.is_plain = size, is_in_order(elements)
        if not draft.is_plain:
            elements, context = put_in_order(data_set, elements, context)
        for element in elements:
            draft.leaves.append((element, len(draft.parts), Place(context, False)))
            draft.parts.append(self._write_leaf(data_set, element, size, context))
            if element.tag in CONTEXT_TAGS:
                context = update_context(data_set, element, context)
        return draft

    def _write_leaf(self, data_set: DataSet, element: Element, size: int, context: Context) -> str:
        if element.tag in _UIDS:
            return ""
        return _to_text(self._writer.write(data_set, element, size, context, self._tree))


def _shorten(draft: Draft) -> str:
    """Without the longest elements, as many as are too many."""
    size, parts = sum(map(len, draft.parts)), draft.parts
    for element, part, _ in sorted(draft.leaves, key=lambda leaf: len(parts[leaf[1]]), reverse=True):
        if size <= MAX_ROW:
            break
        size -= len(parts[part])
        parts[part] = _name_dropped((name_tag(element.tag),))
    return draft.text()


def _to_text(member: Member) -> str:
    if member.other:
        return f"{_OTHER}{member.other}{_OTHER}"
    return member.text + _name_dropped(member.dropped) if member.dropped else member.text


def _name_dropped(names: tuple[str, ...]) -> str:
    return f"{_DROPPED}{','.join(map(write_string, names))}{_DROPPED}"
