"""What the verbs may touch: the promises that every storage and every executor keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, NamedTuple, Protocol, Self, TypeVar

from gantry.errors import Unavailable
from gantry.index_protocols import Index
from gantry.log_entries import LogEntry
from gantry.resources import ObjectMeta, Operation

MAIN = "main"  # the place of every storage class that has none of its own


Check = Callable[[], None]
"""Called several times a second by what may last; what it raises ends the work."""

LISTEN_SECONDS = 0.25  # between two looks at a call that is waited for
GRACE_SECONDS = 0.5  # what a call that is not wanted any more gets to end by itself: most need less
Out = TypeVar("Out")


class OpenedObject(ABC):
    """An object open for reading. ``size`` in bytes."""

    key: str
    size: int

    @abstractmethod
    def read_at(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset``; fewer only at the end of the object."""

    @abstractmethod
    def chunks(self) -> Iterator[bytes]:
        """All bytes, in pieces of bounded size. Raises Aborted where they are not those of the object as it was opened:
        it was cut, or written to, while it was read."""

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


def without_gaps(found: Iterable[ObjectMeta]) -> Iterator[ObjectMeta]:
    """For those who conclude from what is not listed: the objects of a listing, then Unavailable if a directory could
    not be read."""
    gap: ObjectMeta | None = None
    for each in found:
        if each.problem and each.key.endswith("/"):
            gap = gap or each
        else:
            yield each
    if gap is not None:
        raise Unavailable(f"{gap.key}: {gap.problem}")


class BlobStore(Protocol):
    """One bucket. Raises NotFound, PermissionDenied and Unavailable; can be pickled and sent to a worker."""

    def exists(self) -> bool:
        """True when the bucket is there."""
        ...

    def list(
        self, prefix: str = "", start_after: str = "", depth: int | None = None, check: Check | None = None
    ) -> Iterator[ObjectMeta]:
        """Objects by prefix, sorted by the UTF-8 bytes of their keys; ``depth``: at most so many ``/`` in a key.

        ``check`` is called again and again, also while nothing is found.
        """
        ...

    def head(self, key: str) -> ObjectMeta:
        """Raises NotFound."""
        ...

    def open(self, key: str) -> OpenedObject: ...

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        """Write one object, whole or not at all; the number of bytes."""
        ...

    def copy_from(self, source: OpenedObject, key: str) -> int:
        """Write one object with the bytes of another; the number of bytes."""
        ...

    def delete(self, key: str) -> None: ...

    def delete_prefix(self, prefix: str, start_after: str = "", check: Check | None = None) -> int:
        """Raises Unavailable where not all could be found, after all others are deleted."""
        ...

    def flush(self) -> None:
        """Return when all that was written before is durable. Raises Unavailable when it is not."""
        ...


class Bucket(BlobStore, Protocol):
    def folders(self, prefix: str = "", limit: int = 1000) -> Sequence[str]:
        """The prefixes, ending in ``/``, that lie directly below ``prefix`` (empty, or ending in ``/``); the first ones
        by their bytes. Raises PermissionDenied, Unavailable; what is not there has none."""
        ...

    def delete_unfinished(self, directory: str) -> None:
        """Remove what writers of this use that were ended half way have left directly below ``directory``."""
        ...


class WorkerDied(Exception):
    """What an executor's future raises when the process that carried the call ended before it answered."""


class CallEnded(WorkerDied):
    """The process was ended because nobody wants the answer any more, or because the server stops."""


class WorkerTimedOut(WorkerDied):
    """The process was ended, because the call gave no sign of life in the ``seconds`` it had asked for."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no sign of life for {seconds:g} seconds")
        self.seconds = seconds


class Call(Future[Out]):
    """A call that runs in a process of its own."""

    def end(self) -> None:
        """Cancel it; where it has begun, end its process, so that it fails with CallEnded."""
        self.cancel()


class Workers(Executor):
    """Processes that calls run in, ``size`` at a time."""

    size: int

    def end(self, seconds: float = 0) -> None:
        """Take no more calls, cancel those that wait, and end those that are not done in so many seconds."""
        self.shutdown(cancel_futures=True)


def result_of(future: Future[Out], check: Check) -> Out:
    """The result of a call; ``check`` is called while it is waited for."""
    while not wait([future], LISTEN_SECONDS).done:
        check()
    return future.result()


def end_calls(futures: Sequence[Future[Any]], seconds: float = GRACE_SECONDS) -> set[Future[Any]]:
    """Return when none of the calls is running: those that have not begun are cancelled, those that are not done in so
    many seconds are ended. The latter."""
    late = wait([future for future in futures if not future.cancel()], seconds).not_done
    for future in late:
        if isinstance(future, Call):
            future.end()
    wait(late)
    return late


def beat(seconds: float | None) -> None:
    """Tell from inside a call that it is alive, and that it will beat again or answer within ``seconds``.

    A call that never beats may take as long as it likes, and so may one that beats with None. Outside a worker process
    nothing happens.
    """
    for hear in _listeners:
        hear(seconds)


def hear_beats(listener: Callable[[float | None], None]) -> None:
    """For executors: ``listener`` hears the beats of this process."""
    _listeners.append(listener)


_listeners: list[Callable[[float | None], None]] = []


class BucketUse(NamedTuple):
    """What an operation wants of a bucket: to ``read`` or to ``write`` keys that begin with ``prefix``.

    ``dataset`` is the full name of the one it works for; ``writer`` tells its temporary names from those of others.
    """

    bucket: str
    right: Literal["read", "write"]
    prefix: str
    dataset: str
    writer: str = ""


@dataclass(frozen=True, slots=True)
class Seams:
    """The parts that settings choose. ``bucket`` raises NotFound for one that is not there, PermissionDenied;
    ``buckets`` are the names of those that a dataset may read or write.

    ``executor`` runs the batches of operations, ``pixels`` what a request waits for.
    ``window`` is how many batches of an operation may be under way. ``places`` are the first segments that keys in
    ``blobs`` may have: ``main``, and each storage class that has a directory of its own. ``retention_days`` is how long
    finished operations are kept, 0 for ever. ``listener`` hears of the entries of error logs once they are committed.
    """

    index: Index
    blobs: BlobStore
    bucket: Callable[[BucketUse], Bucket]
    executor: Workers
    pixels: Workers
    window: int
    places: tuple[str, ...] = (MAIN,)
    retention_days: int = 30
    listener: Callable[[Operation, Sequence[LogEntry]], None] | None = None
    buckets: Callable[[str, Literal["read", "write"]], Sequence[str]] = lambda dataset, right: ()

    def place_of(self, storage_class: str) -> str:
        """Where new bytes of a storage class go."""
        return storage_class if storage_class in self.places else MAIN
