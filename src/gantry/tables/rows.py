"""An instance as one row: a line of JSON, from its header and its row in the index.

``schemaFlattened`` has a column for each element, ``schemaJson`` all of them as DICOM JSON in one column. Bulk data is
in neither of them. Neither knows where rows go to: a table of directories, BigQuery, or a stream of changes.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from gantry.dicom.header_bytes import HeaderBytes
from gantry.resources import StoredInstance, Uids
from gantry.table_schema import Columns, TableRow, merge_columns
from gantry.tables.columns import MODALITY, list_fixed_columns
from gantry.tables.flattened import FlattenedBody
from gantry.tables.metadata_json import JsonBody
from gantry.tables.values import write_moment, write_string

INSERT, UPDATE, DELETE = "INSERT", "UPDATE", "DELETE"
"""What ``Type`` says of a row: an export writes the first alone."""


class Body(Protocol):
    """What a schema makes of headers."""

    def write(self, header: HeaderBytes) -> tuple[str, str]:
        """Members of this row alone, and those in common with others (``TableRow``), each with a comma in front.
        Raises InvalidArgument."""
        ...

    def list_columns(self) -> Columns:
        """Those of the headers written so far."""
        ...


class RowForm(NamedTuple):
    """What rows are to be: ``as_json`` is ``schemaJson``; ``source`` goes into SourceDicomStore, "": no such
    column."""

    as_json: bool = False
    source: str = ""


class RowChange(NamedTuple):
    """What happened to an instance. ``kind`` is the Type of its row, ``time`` in microseconds since 1970 UTC, ``size``
    that of its bytes. What is empty, or None, is not said."""

    uids: Uids
    kind: str
    time: int
    modality: str = ""
    storage_class: str = ""
    size: int | None = None


class RowWriter:
    """Rows of instances that are much alike, one after the other. Keep one for a batch, not longer: its columns are
    those of all that it has written."""

    def __init__(self, form: RowForm) -> None:
        self._form = form
        self._body: Body = JsonBody() if form.as_json else FlattenedBody()
        self._source = f',"SourceDicomStore":{write_string(form.source)}' if form.source else ""
        self._has_modality = False

    def write(self, instance: StoredInstance, header: HeaderBytes) -> TableRow:
        """The row, without a line break. Raises InvalidArgument for a header that cannot be read."""
        members = f',"StorageClass":"{instance.storage_class}","BlobStorageSize":{instance.size}'
        return self._write(instance.uids, header, members, instance.create_time, INSERT)

    def write_change(self, change: RowChange, header: HeaderBytes | None) -> TableRow:
        """The row of a change, with all that is known without the header where there is none. Raises
        InvalidArgument for a header that cannot be read."""
        members = f',"StorageClass":{write_string(change.storage_class)}' if change.storage_class else ""
        if change.size is not None:
            members += f',"BlobStorageSize":{change.size}'
        if header is None and change.modality and not self._form.as_json:
            members += f',"{MODALITY.name}":{write_string(change.modality)}'
            self._has_modality = True
        return self._write(change.uids, header, members, change.time, change.kind)

    def _write(self, uids: Uids, header: HeaderBytes | None, more: str, time: int, kind: str) -> TableRow:
        members, common = self._body.write(header) if header is not None else ("", "")
        study, series, sop_instance = map(write_string, uids)
        size = "" if header is None else f',"StructuredStorageSize":{len(header.meta) + len(header.body)}'
        return TableRow(
            f'{{"StudyInstanceUID":{study},"SeriesInstanceUID":{series},"SOPInstanceUID":{sop_instance}{self._source}'
            f'{members}{size}{more},"LastUpdated":{write_moment(time)},"Type":"{kind}"}}',
            common,
        )

    def list_columns(self) -> Columns:
        """The columns of all rows so far."""
        fixed = list_fixed_columns(self._form.as_json, bool(self._form.source))
        own = merge_columns(self._body.list_columns(), (MODALITY,) if self._has_modality else ())
        return merge_columns(fixed, own)
