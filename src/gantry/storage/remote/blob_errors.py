"""What fails in the bucket of stored instances, as trouble of the server.

The bucket of an import belongs to the client, who is told what the provider says of it. Here the client can do nothing
about it: what cannot be written waits until it can, and no message has a key, or says how the server reaches its
bucket.
"""

from __future__ import annotations

import logging
import time

from gantry.errors import (
    BucketAway,
    Cancelled,
    DeadlineExceeded,
    DiskAway,
    FailedPrecondition,
    Interrupted,
    InvalidArgument,
    MustBeRestored,
    PermissionDenied,
    ResourceExhausted,
    Spoilt,
    StatusError,
    Unavailable,
    Unimplemented,
    Unreadable,
)
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.client import Client
from gantry.storage.remote.errors import Archived, Overloaded

logger = logging.getLogger(__name__)

REFUSED = (FailedPrecondition, PermissionDenied, Unimplemented)
ADVICE = "the log has what the object storage said"
_REASONS: tuple[tuple[type[StatusError], str], ...] = (
    (Overloaded, "the object storage asks for fewer requests"),
    (BucketAway, "the object storage is not reached, or does not know this server"),
    (Unavailable, "the object storage does not answer, or not as it should"),
    (DeadlineExceeded, "the object storage gives no answer"),
    (PermissionDenied, "this server may not do it"),
)
_AGAIN_SECONDS = 10.0
"""Until the same is logged again: while a bucket is away every request meets it."""


class BucketTrouble:
    """Of a bucket that messages call ``name``. Can be pickled."""

    def __init__(self, bucket: RemoteBucket, name: str) -> None:
        self.bucket, self.name = bucket, name
        self._said, self._said_at = "", 0.0

    @property
    def client(self) -> Client:
        return self.bucket.client

    def translate_refusal(self, error: StatusError) -> StatusError:
        """Of a read, but for what is not there. Unreadable for bytes that come spoilt again and again; MustBeRestored,
        and Unavailable for an object that the server may not read; DiskAway where the bucket does not answer."""
        if isinstance(error, Archived):
            logger.warning("%s: %s", self.name, error.message)
            return MustBeRestored(
                "its bytes are archived at the object storage: they cannot be read before they are restored",
                advice="restore them there; the log has the name of the object",
            )
        if isinstance(error, Spoilt):
            return Unreadable(f"its bytes cannot be read: {error.what}")
        if isinstance(error, REFUSED):
            logger.warning("%s: %s", self.name, error.message)
            return Unavailable("the server may not read its own object of this instance", advice=ADVICE)
        return self.find_away(error)

    def find_away(self, error: StatusError) -> StatusError:
        """DiskAway where it is not the object but the bucket that does not answer."""
        if isinstance(error, DiskAway) or not isinstance(error, Unavailable):
            return error
        if not isinstance(error, Interrupted):
            try:
                self.client.require_answer()
                return error
            except Unavailable as silent:
                error = silent
        return self.make_away("does not answer", error)

    def translate_write(self, error: StatusError) -> StatusError:
        """DiskAway for all that other objects would meet too: NotFound is the bucket, or a part of it."""
        if isinstance(error, (Cancelled, DiskAway, InvalidArgument, ResourceExhausted)):
            return error
        return self.make_away("cannot be written", error)

    def make_away(self, what: str, error: StatusError) -> DiskAway:
        return DiskAway(f"{self.name} {what}: {self.explain(what, error)}", advice=ADVICE)

    def explain(self, what: str, error: StatusError) -> str:
        """Why, in words for every caller. What the provider said, which may name the bucket and the key of the server,
        is for the log."""
        text = f"{self.name} {what}: {error.message}"
        if text != self._said or time.monotonic() - self._said_at > _AGAIN_SECONDS:
            self._said, self._said_at = text, time.monotonic()
            logger.warning("%s", text)
        return next((words for kind, words in _REASONS if isinstance(error, kind)), "the object storage refuses it")
