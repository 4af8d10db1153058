"""What a Store Instances Response (PS3.18 §10.5.3.2) says of each file of a request."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, NamedTuple

from gantry.client.api import Json
from gantry.client.upload_files import Batch
from gantry.dicom.buffers import Held
from gantry.errors import StatusError
from gantry.ingest import identify
from gantry.languages import _
from gantry.reasons import Reason

_STORED, _FAILED, _INSTANCE = "00081199", "00081198", "00081155"
_MESSAGE, _REASON, _NUMBER = "00091097", "00091101", "00081197"  # the message is Google's, the reason is Gantry's
_PART = re.compile(r"part (\d+): (.*)", re.DOTALL)  # what is no instance is named by its place in the request


class Refused(NamedTuple):
    """A file that was not stored."""

    file: str
    message: str
    reason: str

    @property
    def is_there(self) -> bool:
        """Whether the same bytes are stored already."""
        return self.reason == Reason.ALREADY_STORED


class Answer(NamedTuple):
    """``stored`` and ``refused`` are all files of a request."""

    stored: int
    refused: list[Refused]


def read_answer(batch: Batch, answer: Json) -> Answer:
    """The counts are those of the server; the names of files are found by their places and UIDs."""
    items = _items(answer, _FAILED)
    stored = min(len(_items(answer, _STORED)), len(batch.files))
    names = _Names(batch) if items else None
    refused = [_read(item, names) for item in items if names]
    untold = len(batch.files) - stored - len(refused)
    message = _("the server did not say what became of it; upload it again")
    return Answer(stored, refused + [Refused(batch.name, message, Reason.UNKNOWN)] * max(untold, 0))


def _read(item: Json, names: _Names) -> Refused:
    message = str(_value(item, _MESSAGE) or "")
    if not message:
        message = _("refused with the failure reason {number}").format(number=_value(item, _NUMBER))
    reason = str(_value(item, _REASON) or Reason.UNKNOWN)
    if (part := _PART.fullmatch(message)) and not _value(item, _INSTANCE):
        return Refused(names.by_place(int(part[1])), part[2], reason)
    return Refused(names.by_uid(str(_value(item, _INSTANCE))), message, reason)


class _Names:
    """Files of a request by what an answer calls them."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._uids = [_read_uid(file, data) for file, data in zip(batch.files, batch.contents, strict=False)]
        self._taken = Counter[str]()

    def by_place(self, number: int) -> str:
        """``number`` begins at 1."""
        files = self._batch.files
        return files[number - 1] if 0 < number <= len(files) else self._batch.name

    def by_uid(self, uid: str) -> str:
        """Of several files of one instance the last ones are those that were refused."""
        files = [file for file, its in zip(self._batch.files, self._uids, strict=False) if its == uid]
        self._taken[uid] += 1
        return files[-self._taken[uid]] if self._taken[uid] <= len(files) else self._batch.name


def _read_uid(file: str, data: bytes) -> str:
    """The SOP Instance UID, as the server reads it; "" where it is no instance."""
    try:
        return identify(Held(data), "", len(data), "STANDARD", file).instance.sop_instance_uid
    except StatusError:
        return ""


def _items(answer: Json, tag: str) -> list[Json]:
    return list((answer.get(tag) or {}).get("Value") or ())


def _value(item: Json, tag: str) -> Any:
    return next(iter((item.get(tag) or {}).get("Value") or ()), None)
