"""A message on the next page: what has just been done. It stands in a cookie, and is shown once."""

from __future__ import annotations

from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response

_COOKIE, _SECONDS, _MAX = "gantry-said", 60, 1000


def say_next(request: Request, response: Response, text: str) -> None:
    """Scripts cannot read it, and other sites cannot set it: it names patients."""
    value = quote(text[:_MAX], safe="")
    secure = request.url.scheme == "https"
    response.set_cookie(_COOKIE, value, _SECONDS, path="/console", secure=secure, httponly=True, samesite="strict")


def take_said(request: Request) -> str:
    """ "" without one."""
    return unquote(request.cookies.get(_COOKIE, ""))


def forget_said(response: Response) -> None:
    response.delete_cookie(_COOKIE, path="/console", httponly=True, samesite="strict")
