"""The state of an emulator: what it begins with, and ``POST /emulator/reset``, which leads back there."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from gantry.api.app import FormHandler
from gantry.api.call import Context
from gantry.api.paths import page_path
from gantry.api.responses import json_response
from gantry.emulator.seeds import Seed, sow
from gantry.emulator.tokens import give_token
from gantry.errors import NotFound, Unavailable
from gantry.names import DatasetName, OperationName
from gantry.operations.runner import Runner
from gantry.seams import Seams
from gantry.studies.uploads import Uploads

logger = logging.getLogger(__name__)

_PAGE = 500
_STOP_SECONDS = 60.0
"""For which a reset waits until operations that run have stopped."""


class Emulator:
    """``buckets``: directories made at the start, and again by a reset; ``own_buckets``: what lies in it came with the
    emulator, so a reset empties it; None for a directory of the user, which is left alone."""

    def __init__(self, seeds: Sequence[Seed], buckets: Sequence[Path], own_buckets: Path | None) -> None:
        self._seeds, self._buckets, self._own_buckets = seeds, buckets, own_buckets
        self._turn = threading.Lock()

    @property
    def forms(self) -> Mapping[str, FormHandler]:
        return {"emulator": self._answer, "token": give_token}

    def begin(self, seams: Seams, uploads: Uploads, runner: Runner) -> None:
        """Bring the server into its first state. No request has come yet."""
        self._seams, self._uploads, self._runner = seams, uploads, runner
        self._fill()

    def _fill(self) -> None:
        for each in self._buckets:
            each.mkdir(parents=True, exist_ok=True)
        if self._seeds:
            logger.info("seeds: %d instances stored", sow(self._seams, self._uploads, self._seeds))

    def _answer(self, context: Context, request: Request, body: bytes) -> Response:
        """Raises Unavailable where an operation does not stop."""
        if page_path(request.scope) != ["reset"]:
            raise NotFound("no such page; POST /emulator/reset leads back to the first state")
        with self._turn:
            self._reset()
        return json_response({})

    def _reset(self) -> None:
        names = list(self._list_datasets())
        self._stop_operations(names)
        for name in names:
            self._seams.index.resources.delete_dataset(name)
        self._uploads.end_deleted()
        self._runner.sweep()
        if self._own_buckets is not None:
            for each in self._own_buckets.iterdir():
                _remove(each)
        self._fill()

    def _list_datasets(self) -> Iterator[DatasetName]:
        after: DatasetName | None = None
        while page := self._seams.index.resources.list_dataset_names(_PAGE, after):
            yield from page
            after = page[-1]

    def _stop_operations(self, names: Sequence[DatasetName]) -> None:
        for name in names:
            for operation in self._list_unfinished(name):
                self._seams.index.operations.request_cancel(operation)
        deadline = time.monotonic() + _STOP_SECONDS
        while self._runner.running and time.monotonic() < deadline:
            time.sleep(0.005)
        if self._runner.running:
            raise Unavailable("an operation does not stop; nothing was deleted")

    def _list_unfinished(self, name: DatasetName) -> Iterator[OperationName]:
        before: int | None = None
        while page := self._seams.index.operations.list_operations(name, _PAGE, before=before, done=False):
            yield from (each.name for each in page)
            before = page[-1].name.id


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
