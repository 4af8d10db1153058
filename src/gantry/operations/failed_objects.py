"""The objects that another import has failed on: an import that takes them alone, and reads nothing else again."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from gantry.errors import NotFound
from gantry.names import OperationName
from gantry.operations.interruption import go_on
from gantry.reasons import Reason
from gantry.resources import ObjectMeta, Operation
from gantry.seams import Bucket, Seams
from gantry.storage.uris import UriPattern
from gantry.worker_calls import Check

_PAGE = 10_000  # names of objects in memory


class FailedObjects:
    """Lists them sorted by key, from the checkpoint on; ``value`` is how many there are, with those ``done``.

    It stands in the place of ``Count``. The error log of the other import is read as it is now: of one that is removed
    meanwhile (``retention``) nothing is left to do.
    """

    def __init__(self, seams: Seams, operation: Operation, source: Bucket, pattern: UriPattern, done: int) -> None:
        self._seams, self._source, self._pattern = seams, source, pattern
        self._start, self._bucket = operation.checkpoint, f"{pattern.bucket}/"
        self._of = OperationName(operation.name.dataset, operation.request["failures_of"])
        reason = operation.request.get("reason")
        self._reason = Reason(reason) if reason else None
        self.value = done + sum(1 for _ in self._list_keys())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def list(self, check: Check = go_on) -> Iterator[ObjectMeta]:
        for number, key in enumerate(self._list_keys()):
            if not number % 64:
                check()
            yield self._find(key)

    def _find(self, key: str) -> ObjectMeta:
        try:
            return self._source.head(key)
        except NotFound:
            return ObjectMeta(key, 0)  # opening it says so, as of one that goes while an import runs

    def _list_keys(self) -> Iterator[str]:
        after = self._bucket + self._start
        while page := self._seams.index.logs.list_failed_resources(self._of, self._reason, after, _PAGE):
            for resource in page:
                if resource.startswith(self._bucket) and not self._is_whole(resource):
                    yield resource.removeprefix(self._bucket)
            after = page[-1]

    def _is_whole(self, resource: str) -> bool:
        """Whether an entry is about the whole import, which names what it was asked for."""
        return self._pattern.has_wildcard and resource == str(self._pattern)
