"""``gantry wait-ready``: wait for a server that somebody has just started."""

from __future__ import annotations

import time
from argparse import Namespace
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

from gantry.access.addresses import LOOPBACK
from gantry.errors import InvalidArgument, Unavailable

_LOOK_SECONDS = 0.05
_ANSWER_SECONDS = 10.0


def wait_ready(args: Namespace) -> int:
    """Return when ``/readyz`` says so. Raises InvalidArgument, Unavailable."""
    if urlsplit(args.server).scheme not in ("http", "https") or not urlsplit(args.server).netloc:
        raise InvalidArgument(f"--server: {args.server!r} is not an address such as http://127.0.0.1:8080")
    deadline = time.monotonic() + args.timeout
    while problem := _look(args.server.rstrip("/")):
        if time.monotonic() > deadline:
            raise Unavailable(f"{args.server} {problem} after {args.timeout:g} s")
        time.sleep(_LOOK_SECONDS)
    return 0


def _look(server: str) -> str:
    """What is wrong, in words that follow the name of the server; "" where it is ready."""
    handlers = [ProxyHandler({})] if urlsplit(server).hostname in LOOPBACK else []
    try:
        with build_opener(*handlers).open(f"{server}/readyz", timeout=_ANSWER_SECONDS):
            return ""
    except HTTPError as error:
        error.close()
        return f"answers {error.code}"
    except (URLError, OSError):
        return "does not answer"
