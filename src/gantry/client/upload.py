"""``upload``: files of this machine, stored with STOW-RS (PS3.18 §10.5)."""

from __future__ import annotations

import time
from argparse import Namespace

from gantry.client.api import Api, Json
from gantry.client.connection import Connection
from gantry.client.messages import describe_failure, find_reason, list_advice
from gantry.client.progress import FIRST_PAUSE, LINE_EVERY, LONGEST_PAUSE, PATIENCE, format_patience
from gantry.client.terminal import format_duration, note, say, say_json
from gantry.client.transfer import INTERRUPTED, OBJECTS_FAILED, format_failed, format_failure
from gantry.client.upload_answers import Refused, read_answer
from gantry.client.upload_files import Batch, find_files, make_batches, require_paths
from gantry.errors import NotFound, PermissionDenied, ResourceExhausted, StatusError, Unauthenticated, Unavailable
from gantry.languages import _, ngettext
from gantry.reasons import Reason
from gantry.sizes import format_number, format_size

_FOR_ALL = (NotFound, PermissionDenied, Unauthenticated, Unavailable, ResourceExhausted)
"""Errors that the next request would get, too."""


def upload(args: Namespace) -> int:
    """Send all files. What fails is told at once, and does not stop the others. It is safe to run it again."""
    require_paths(args.path)
    connection = Connection.of(args)
    path = f"{connection.store(args.store)}/dicomWeb/studies"
    told = _Told(args.json)
    try:
        for batch in make_batches(find_files(args.path, told.fail), told.fail):
            _send(connection.api, path, batch, told)
    except KeyboardInterrupt:
        told.sum_up(_("interrupted; run it again for the rest"))
        return INTERRUPTED
    except StatusError:
        told.sum_up(_("not all files were sent"))
        raise
    told.sum_up()
    return OBJECTS_FAILED if told.failed else 0


def _send(api: Api, path: str, batch: Batch, told: _Told) -> None:
    """Raises an error that is about all files."""
    try:
        answer = read_answer(batch, _store(api, path, batch))
    except _FOR_ALL:
        raise
    except StatusError as error:
        for file in batch.files:
            told.fail(file, error.message, find_reason(error.details) or Reason[error.code.name])
        return
    told.add(answer.stored, answer.refused, batch.size)


def _store(api: Api, path: str, batch: Batch) -> Json:
    """A server may be away for as long as a restart takes: then the request is sent again. What it has stored by then
    is there already."""
    lost, pause = 0.0, FIRST_PAUSE
    while True:
        try:
            return api.store(path, batch.make_parts(), batch.content_type)
        except (Unavailable, ResourceExhausted) as error:
            lost = lost or time.monotonic()
            if time.monotonic() - lost > PATIENCE:
                raise
            if pause == FIRST_PAUSE:
                note(format_patience(error))
        time.sleep(pause)
        pause = min(pause * 1.3, LONGEST_PAUSE)


class _Told:
    """Counts, and prints failures and progress."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self.stored = self.there = self.failed = self._bytes = 0
        self._begun = self._noted = time.monotonic()
        self._reasons: dict[str, None] = {}  # in the order in which they came

    def add(self, stored: int, refused: list[Refused], size: int) -> None:
        """``size``: bytes that were sent."""
        self.stored += stored
        self._bytes += size
        for each in refused:
            if each.is_there:
                self.there += 1
            else:
                self.fail(*each)
        if time.monotonic() - self._noted > LINE_EVERY:
            self._noted = time.monotonic()
            note(_("upload: {counts}").format(counts=self._format_counts()))

    def fail(self, file: str, message: str, reason: str = "") -> None:
        self.failed += 1
        if self._as_json:
            say_json({"file": file, "message": message} | ({"reason": reason} if reason else {}), indent=None)
        else:
            say(format_failure(file, describe_failure(message, reason)))
            self._reasons |= {reason: None}

    def sum_up(self, problem: str = "") -> None:
        """``problem``: why it is not all."""
        if problem:
            note(problem)
        if self._as_json:
            counts = {"stored": self.stored, "alreadyStored": self.there, "failed": self.failed}
            say_json({"summary": counts | {"bytes": self._bytes}}, indent=None)
            return
        mark = "✗" if self.failed or problem else "✓"
        took = format_duration(time.monotonic() - self._begun)
        text = _("upload: {counts}, {size} sent in {duration}")
        for advice in list_advice(self._reasons):
            say(f"  {advice}", "dim")
        say(f"{mark} {text.format(counts=self._format_counts(), size=format_size(self._bytes), duration=took)}")

    def _format_counts(self) -> str:
        stored = ngettext("{count} stored", "{count} stored", self.stored)
        there = ngettext("{count} already there", "{count} already there", self.there)
        counts = (stored.format(count=format_number(self.stored)), there.format(count=format_number(self.there)))
        return ", ".join((*counts, format_failed(self.failed)))
