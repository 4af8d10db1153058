"""``dicomStores.export`` to object storage, in the original format."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from itertools import islice

from gantry.errors import Code, ResourceExhausted, Status, StatusError
from gantry.operations.batches import cut, run_in_order
from gantry.operations.filter_file import Line, read_lines
from gantry.resources import Batch, Failure, Instance, Operation
from gantry.seams import BlobStore, Seams, WorkerDied
from gantry.storage.uris import StorageUri, parse_prefix

_Placed = tuple[str, Instance]
_LINES = 5000  # of a filter file per transaction
_LINE = "line="


def export_dicom_data(seams: Seams, operation: Operation) -> Generator[Batch, None, None]:
    """Batches from the checkpoint on. Raises NotFound for a missing bucket or filter file.

    A checkpoint is ``line=N`` of the filter file, then positions in the index.
    """
    prefix = parse_prefix(operation.request["uri_prefix"])
    destination = seams.bucket(prefix.bucket, str(operation.name.id))
    reading = not operation.checkpoint or operation.checkpoint.startswith(_LINE)
    selected_by = operation.name.id if "filter_uri" in operation.request else 0
    refused = operation.counter.failure if reading else 0
    if selected_by and reading:
        for batch in _read_filter(seams, operation):
            refused += len(batch.failures)
            yield batch

    def submit(_number: int, placed: Sequence[_Placed], _offset: int) -> Future[list[Failure | None]]:
        instances = [instance for _, instance in placed]
        return seams.executor.submit(
            export_batch, instances, blobs=seams.blobs, destination=destination, prefix=prefix.key
        )

    total = refused + seams.index.count_instances(operation.store_id, selected_by)
    found = seams.index.instances(operation.store_id, "" if reading else operation.checkpoint, selected_by)
    results = run_in_order(submit, cut(found, lambda placed: placed[1].size), seams.window, _died)
    with closing(results):
        for _, placed, outcomes in results:
            failures = tuple(outcome for outcome in outcomes if outcome is not None)
            yield Batch(checkpoint=placed[-1][0], success=len(placed) - len(failures), failures=failures, listed=total)


def export_batch(
    instances: Sequence[Instance], *, blobs: BlobStore, destination: BlobStore, prefix: str
) -> list[Failure | None]:
    """Write ``{prefix}{study}/{series}/{instance}.dcm`` for each, over what is there; durable on return.

    What is wrong with one instance becomes its Failure; ResourceExhausted (the destination is full) is raised.
    """
    outcomes: list[Failure | None] = []
    for instance in instances:
        key = f"{prefix}{'/'.join(instance.uids)}.dcm"
        try:
            with blobs.open(instance.blob_key) as blob:
                destination.copy_from(blob, key)
            outcomes.append(None)
        except ResourceExhausted:
            raise
        except StatusError as error:
            outcomes.append(Failure(instance.path, error.status))
    destination.flush()
    return outcomes


def _read_filter(seams: Seams, operation: Operation) -> Iterator[Batch]:
    """The paths of the filter file as selections, each line that is not a path as a failure."""
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


def _refused(uri: StorageUri, line: Line) -> Failure:
    message = f"{line.text!r} is not a path; write /studies/STUDY[/series/SERIES[/instances/INSTANCE]]"
    return Failure(f"{uri}#line={line.number}", Status(Code.INVALID_ARGUMENT, message))


def _died(placed: _Placed, _error: WorkerDied) -> Failure:
    return Failure(placed[1].path, Status(Code.INTERNAL, "the worker process died while it wrote this instance"))
