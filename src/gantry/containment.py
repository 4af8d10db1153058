"""One instance's trouble stays that instance's: what nobody foresaw becomes an error like any other."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from gantry.errors import Internal, StatusError

logger = logging.getLogger(__name__)


@contextmanager
def contain(resource: str, doing: str) -> Iterator[None]:
    """Let nothing but StatusError out: a mistake of ours about one object must not cost any other.

    ``resource`` is the object, ``doing`` what was being done to it ("while its header was read"). The exception goes to
    the log with its traceback, and Internal out, in words that hold nothing of it.
    """
    try:
        yield
    except StatusError:
        raise
    except Exception:
        logger.exception("%s: an error that nobody foresaw %s", resource, doing)
        raise Internal(f"an error that nobody foresaw {doing}; the server's log has the details") from None
