"""Which instances an operation is about: all of a store, or those that its filter file names.

A checkpoint is ``line=N`` while the filter file is read, then a position in the index.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from gantry.errors import Code, Status
from gantry.operations.filter_file import Line, read_lines
from gantry.resources import Batch, Failure, Operation
from gantry.seams import Seams
from gantry.storage.uris import StorageUri

_LINES = 5000  # of a filter file per transaction
_LINE = "line="


def read_filter(seams: Seams, operation: Operation) -> Iterator[Batch]:
    """Batches that remember the paths of the filter file; each line that is not a path is a failure.

    Nothing when there is no filter, or when it has been read. Raises NotFound for a missing bucket or filter file.
    """
    if selected_by(operation) and _is_reading(operation):
        uri = StorageUri.parse(operation.request["filter_uri"])
        done = int(operation.checkpoint.removeprefix(_LINE) or 0)
        with seams.bucket(uri.bucket, "").open(uri.key) as opened:
            lines = (line for line in read_lines(opened.chunks()) if line.number > done)
            while chunk := list(islice(lines, _LINES)):
                yield Batch(
                    checkpoint=f"{_LINE}{chunk[-1].number}",
                    selection=tuple(line.path for line in chunk if line.path is not None),
                    failures=tuple(_refused(uri, line) for line in chunk if line.path is None),
                )


def selected_by(operation: Operation) -> int:
    """What the index wants to know of the filter: the number of the operation that has one, or 0."""
    return operation.name.id if "filter_uri" in operation.request else 0


def refused_before(operation: Operation) -> int:
    """How many lines of the filter file were failures when the operation was taken up."""
    return operation.counter.failure if _is_reading(operation) else 0


def start_of(operation: Operation) -> str:
    """The position in the index after which the operation goes on."""
    return "" if _is_reading(operation) else operation.checkpoint


def _is_reading(operation: Operation) -> bool:
    return not operation.checkpoint or operation.checkpoint.startswith(_LINE)


def _refused(uri: StorageUri, line: Line) -> Failure:
    message = f"{line.text!r} is not a path; write /studies/STUDY[/series/SERIES[/instances/INSTANCE]]"
    return Failure(f"{uri}#line={line.number}", Status(Code.INVALID_ARGUMENT, message))
