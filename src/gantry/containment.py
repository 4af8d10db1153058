"""One instance's trouble stays that instance's: what nobody foresaw becomes an error like any other."""

from __future__ import annotations

import logging
from types import TracebackType

from gantry.errors import Internal, StatusError

logger = logging.getLogger(__name__)


class contain:
    """Let nothing but StatusError out: a mistake of ours about one object must not cost any other.

    ``resource`` is the object, ``doing`` what was being done to it ("while its header was read"). The exception goes to
    the log with its traceback, and Internal out, in words that hold nothing of it. Not a generator: this stands around
    what is done for each of thousands of instances.
    """

    __slots__ = ("doing", "resource")

    def __init__(self, resource: object, doing: str) -> None:
        self.resource, self.doing = resource, doing

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None or isinstance(error, StatusError) or not isinstance(error, Exception):
            return
        logger.error("%s: an error that nobody foresaw %s", self.resource, self.doing, exc_info=error)
        raise Internal(f"an error that nobody foresaw {self.doing}; the server's log has the details") from None
