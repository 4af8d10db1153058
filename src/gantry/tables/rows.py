"""An instance as one row: a line of JSON, from its header and its row in the index.

``schemaFlattened`` has a column for each element, ``schemaJson`` all of them as DICOM JSON in one column. Bulk data is
in neither of them. Neither knows where rows go to: a table of directories, BigQuery, or a stream of changes.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from gantry.dicom.header_bytes import HeaderBytes
from gantry.resources import StoredInstance
from gantry.table_schema import Columns, TableRow, merge_columns
from gantry.tables.columns import list_fixed_columns
from gantry.tables.flattened import FlattenedBody
from gantry.tables.metadata_json import JsonBody
from gantry.tables.values import write_moment, write_string

INSERT = "INSERT"
"""What ``Type`` says of rows that an export writes."""


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


class RowWriter:
    """Rows of instances that are much alike, one after the other. Keep one for a batch, not longer: its columns are
    those of all that it has written."""

    def __init__(self, form: RowForm) -> None:
        self._form = form
        self._body: Body = JsonBody() if form.as_json else FlattenedBody()
        self._source = f',"SourceDicomStore":{write_string(form.source)}' if form.source else ""

    def write(self, instance: StoredInstance, header: HeaderBytes, kind: str = INSERT) -> TableRow:
        """The row, without a line break. Raises InvalidArgument for a header that cannot be read."""
        members, common = self._body.write(header)
        study, series, sop_instance = map(write_string, instance.uids)
        size = len(header.meta) + len(header.body)
        return TableRow(
            f'{{"StudyInstanceUID":{study},"SeriesInstanceUID":{series},"SOPInstanceUID":{sop_instance}{self._source}'
            f"{members},"
            f'"StructuredStorageSize":{size},"StorageClass":"{instance.storage_class}","BlobStorageSize":{instance.size},'
            f'"LastUpdated":{write_moment(instance.create_time)},"Type":"{kind}"}}',
            common,
        )

    def list_columns(self) -> Columns:
        """The columns of all rows so far."""
        return merge_columns(list_fixed_columns(self._form.as_json, bool(self._form.source)), self._body.list_columns())
