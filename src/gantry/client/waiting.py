"""``gantry wait-ready``: wait for a server that somebody has just started."""

from __future__ import annotations

import time
from argparse import Namespace
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

from gantry.access.addresses import LOOPBACK
from gantry.errors import InvalidArgument, Unavailable
from gantry.languages import _

_LOOK_SECONDS = 0.05
_ANSWER_SECONDS = 10.0


def wait_ready(args: Namespace) -> int:
    """Return when ``/readyz`` says so. Raises InvalidArgument, Unavailable."""
    if urlsplit(args.server).scheme not in ("http", "https") or not urlsplit(args.server).netloc:
        problem = _("--server: {value} is not an address such as http://127.0.0.1:8080")
        raise InvalidArgument(problem.format(value=repr(args.server)))
    deadline = time.monotonic() + args.timeout
    while problem := _look(args.server.rstrip("/")):
        if time.monotonic() > deadline:
            raise Unavailable(problem.format(server=args.server, seconds=f"{args.timeout:g}"))
        time.sleep(_LOOK_SECONDS)
    return 0


def _look(server: str) -> str:
    """What is wrong, with places for the ``server`` and the ``seconds`` it was waited for; "" where it is ready."""
    handlers = [ProxyHandler({})] if urlsplit(server).hostname in LOOPBACK else []
    try:
        with build_opener(*handlers).open(f"{server}/readyz", timeout=_ANSWER_SECONDS):
            return ""
    except HTTPError as error:
        error.close()
        return _("{server} answers {code} after {seconds} s").replace("{code}", str(error.code))
    except (URLError, OSError):
        return _("{server} does not answer after {seconds} s")
