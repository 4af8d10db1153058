"""An unexpected exception about one object becomes a StatusError, so that other objects are not affected."""

from __future__ import annotations

import logging
from types import TracebackType

from gantry.errors import Internal, StatusError

logger = logging.getLogger(__name__)


class contain:
    """Context manager that raises only StatusError: a bug met on one object must not affect any other.

    ``resource`` is the object, ``doing`` what was being done to it ("while its header was read"). The exception is
    logged with its traceback, and Internal is raised without its text. A class, because a generator is slower, and
    this runs for each of thousands of instances.
    """

    __slots__ = ("doing", "resource")

    def __init__(self, resource: object, doing: str) -> None:
        self.resource, self.doing = resource, doing

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None or isinstance(error, StatusError) or not isinstance(error, Exception):
            return
        logger.error("%s: an unexpected error %s", self.resource, self.doing, exc_info=error)
        raise Internal(f"an unexpected error {self.doing}; the server's log has the details") from None
