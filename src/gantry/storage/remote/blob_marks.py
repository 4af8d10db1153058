"""Whether the bucket of stored instances is the server's own, and what fails in it.

Another bucket in its place, an empty one above all, says of everything that it is not there. So its mark is looked at
before anybody hears that an object is not found, and after an object was written, before anybody hears that it is
durable.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gantry.errors import Aborted, Cancelled, DiskAway, NotFound, StatusError, Unavailable
from gantry.storage.owners import Owner, find_owner, most_read
from gantry.storage.remote.blob_errors import ADVICE, REFUSED, BucketTrouble
from gantry.storage.remote.bucket import RemoteBucket

_WRONG = {
    Owner.OWN: None,
    Owner.NOBODY: "it has no mark of this server",
    Owner.ANOTHER: "its mark is that of another server",
}


class MarkedBucket(BucketTrouble):
    """``mark`` is the key of an object below ``prefix``, and what stands in it."""

    def __init__(self, bucket: RemoteBucket, prefix: str, name: str, mark: tuple[str, str] | None = None) -> None:
        super().__init__(bucket, name)
        self.prefix, self.mark = prefix, mark

    def require_mark(self) -> None:
        """One request. Raises DiskAway where the bucket is another one, or cannot say whose it is."""
        if self.mark is None:
            return
        try:
            owner = self._find_owner(*self.mark)
            if owner is Owner.ANOTHER:  # nothing compares so few bytes: they may be spoilt, or cut off
                owner = self._find_owner(*self.mark)
        except Cancelled:
            raise
        except StatusError as error:
            raise self._find_unknown(error) from None
        if (why := _WRONG[owner]) is not None:
            raise DiskAway(f"{self.name} is not the one that was opened: {why}")

    def _find_owner(self, key: str, text: str) -> Owner:
        return find_owner(self._read_mark(self.prefix + key, most_read(text)), text)

    def _read_mark(self, name: str, most: int) -> bytes | None:
        try:
            return self.client.get_start(name, most)
        except NotFound:
            return None
        except Aborted:
            return b""  # it is empty

    def _find_unknown(self, error: StatusError) -> StatusError:
        found = self.translate_refusal(error)
        if isinstance(found, DiskAway):
            return found
        return DiskAway(f"{self.name} does not say whose it is: its mark cannot be read", advice=ADVICE)

    @contextmanager
    def marked(self) -> Iterator[None]:
        """Around what is written or deleted: neither touches another bucket, and what another one has done or lacks is
        not taken for ours. Raises DiskAway."""
        self.require_mark()
        yield
        self.require_mark()

    def judge_absence(self, error: StatusError) -> StatusError:
        """What an error is that says of an object that it is not there: DiskAway in another bucket."""
        try:
            self.require_mark()
        except StatusError as away:
            return away
        return error

    @contextmanager
    def reading(self) -> Iterator[None]:
        try:
            yield
        except StatusError as error:
            raise self.translate_read(error) from None

    @contextmanager
    def writing(self) -> Iterator[None]:
        try:
            yield
        except StatusError as error:
            raise self.translate_write(error) from None

    @contextmanager
    def deleting(self, key: str) -> Iterator[None]:
        try:
            yield
        except StatusError as error:
            raise self.translate_delete(error, key) from None

    def translate_read(self, error: StatusError) -> StatusError:
        return self.judge_absence(error) if isinstance(error, NotFound) else self.translate_refusal(error)

    def translate_delete(self, error: StatusError, key: str) -> StatusError:
        """Unavailable for what is refused for this object alone, such as one that must be kept: nothing waits for it,
        and it is said of what is deleted in vain."""
        if isinstance(error, REFUSED):
            return Unavailable(f"{key}: cannot be deleted: {error.what}", advice=error.advice)
        return self.judge_absence(error) if isinstance(error, NotFound) else self.find_away(error)
