"""The instances of an operation: all of a store, those below a path, or those that its filter file names.

A checkpoint is ``line=N`` while the filter file is read, then a position in the index, or ``nothing``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from gantry.errors import Cancelled, Code, Status, StatusError
from gantry.ingest import accepts_other_uids
from gantry.names import DicomStoreName, ResourcePath
from gantry.operations.bucket_use import open_bucket
from gantry.operations.filter_file import SHAPE, Line, explain, read_lines
from gantry.operations.interruption import go_on
from gantry.reasons import Reason
from gantry.resources import Batch, Failure, Operation, Selected, StoredInstance
from gantry.seams import Bucket, Seams
from gantry.storage.uris import StorageUri
from gantry.worker_calls import Check

_LINES = 5000  # of a filter file per transaction
_LINE = "line="
_NOTHING = "nothing"  # the checkpoint after a filter file without any line


def read_filter(seams: Seams, operation: Operation, check: Check = go_on) -> Iterator[Batch]:
    """Batches that store the paths of the filter file; each line that is not a path is a failure.

    A filter file without any line is a warning. No batches without a filter, or when it has been read before. Raises
    NotFound for a missing bucket or filter file, Aborted for a file that is written to while it is read.
    """
    if _is_filtered(operation) and _is_reading(operation):
        uri = StorageUri.parse(operation.request["filter_uri"])
        bucket = _open_bucket(seams, operation, uri)
        done = int(operation.checkpoint.removeprefix(_LINE) or 0)
        every = read_lines(_read_chunks(bucket, uri, check), operation.store, other_uids=True)
        lines = _refuse_other_uids(seams, operation, (line for line in every if line.number > done))
        has_lines = False
        while chunk := list(islice(lines, _LINES)):
            has_lines = True
            yield Batch(
                checkpoint=f"{_LINE}{chunk[-1].number}",
                selection=tuple(Selected(_name_line(uri, line), line.path) for line in chunk if line.path is not None),
                failures=tuple(_make_failure(uri, line, operation.store) for line in chunk if line.path is None),
            )
        if not operation.checkpoint and not has_lines:
            yield Batch(checkpoint=_NOTHING, warnings=(_make_empty_warning(uri),))


def _refuse_other_uids(seams: Seams, operation: Operation, lines: Iterable[Line]) -> Iterator[Line]:
    """Lines with UIDs of letters are no paths where the store neither accepts such UIDs nor has these."""
    accepts = accepts_other_uids(seams, operation.store)
    for line in lines:
        others = () if accepts or line.path is None else [uid for uid in line.path if uid.strip("0123456789.")]
        if others and line.path and not seams.index.instances.count_below(operation.store_id, line.path):
            yield line._replace(path=None)
        else:
            yield line


def _open_bucket(seams: Seams, operation: Operation, uri: StorageUri) -> Bucket:
    with _naming(uri):
        return open_bucket(seams, operation, uri.bucket, "read", uri.key)


def _read_chunks(bucket: Bucket, uri: StorageUri, check: Check) -> Iterator[bytes]:
    """The bytes of a filter file. Raises StatusError, which names the file."""
    with _naming(uri):
        try:
            with bucket.open(uri.key) as opened:
                for chunk in opened.chunks():
                    check()
                    yield chunk
        except StatusError:
            bucket.require_mounted()
            raise


@contextmanager
def _naming(uri: StorageUri) -> Iterator[None]:
    """Errors name the filter file, but for those that are not about it."""
    try:
        yield
    except Cancelled:
        raise
    except StatusError as error:
        if error.waits_for is not None:
            raise
        failed = error.within(f"the filter file {uri} cannot be read")
        failed.resource = str(uri)
        raise failed from None


def list_instances(seams: Seams, operation: Operation) -> tuple[int, Iterator[StoredInstance]]:
    """The count of all instances of the operation, and those after its checkpoint.

    A filter file must have been read before.
    """
    index, store_id, start = seams.index, operation.store_id, _find_start(operation)
    if "path" in operation.request:
        path = ResourcePath(*operation.request["path"])
        return index.instances.count_below(store_id, path), index.instances.walk_below(store_id, path, start)
    if operation.checkpoint == _NOTHING:
        return 0, iter(())
    if _is_filtered(operation):
        number = operation.name.id
        return index.selections.count_selected(number), index.selections.walk_selected(number, start)
    return index.instances.count_in_store(store_id), index.instances.walk_store(store_id, start)


def count_refused_before(operation: Operation) -> int:
    """How many lines of the filter file were failures before this attempt."""
    return operation.counter.failure if _is_reading(operation) else 0


def _find_start(operation: Operation) -> str:
    return "" if _is_reading(operation) else operation.checkpoint


def _is_filtered(operation: Operation) -> bool:
    return "filter_uri" in operation.request


def _is_reading(operation: Operation) -> bool:
    return not operation.checkpoint or operation.checkpoint.startswith(_LINE)


def _make_failure(uri: StorageUri, line: Line, store: DicomStoreName | None) -> Failure:
    return Failure(_name_line(uri, line), Status(Code.INVALID_ARGUMENT, explain(line, store), kind=Reason.FILTER_LINE))


def _make_empty_warning(uri: StorageUri) -> Failure:
    message = f"the filter file names nothing, so nothing was selected; each line must be {SHAPE}"
    return Failure(str(uri), Status(Code.NOT_FOUND, message))


def _name_line(uri: StorageUri, line: Line) -> str:
    return f"{uri}#line={line.number}"
