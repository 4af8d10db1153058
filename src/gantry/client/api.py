"""A thin HTTP client of the API: resource names and JSON in, JSON out, the server's errors as ``StatusError``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import httpx

from gantry.access.addresses import LOOPBACK
from gantry.errors import InvalidArgument, StatusError, Unavailable, Unknown
from gantry.languages import _, language
from gantry.names import API_VERSIONS, check_segments, url_path
from gantry.system_errors import describe_os_error

Json = dict[str, Any]

_ERRORS = {error.code.name: error for error in StatusError.__subclasses__()}
_NO_DETAILS: tuple[Json, ...] = ({},)
"""An error of the server has details, so that it can be told from those that are made here."""
_AWAY = (502, 503, 504)  # answers of a proxy whose server is not running

_NO_CONTENT = 204
_STORE_TIMEOUT = httpx.Timeout(600, connect=10)  # the answer to a large file comes when it is on the disk


class Api:
    """Calls one server. Raises Unavailable if it does not answer, and the StatusError that it answers with."""

    def __init__(self, server: str, token: str = "") -> None:
        self.server = server.rstrip("/")
        url = _parse(self.server)
        if not (token.isascii() and token.isprintable()):
            raise InvalidArgument("--token: has a character that no token has")
        is_here = url.host in LOOPBACK
        self._http = httpx.Client(
            headers={"accept-language": language()} | ({"authorization": f"Bearer {token}"} if token else {}),
            timeout=httpx.Timeout(60, connect=10),
            trust_env=not is_here,  # a proxy does not lead back to this machine
            verify=url.scheme == "https" or not is_here,  # the authorities take a tenth of a second to load
        )

    def get(self, name: str, **query: str) -> Json:
        """A resource, or one page of a list."""
        return self._call("GET", f"/v1/{name}", query)

    def post(self, name: str, body: Json, **query: str) -> Json:
        """Create a resource in a collection, or call a method, ``name:verb``."""
        return self._call("POST", f"/v1/{name}", query, body)

    def patch(self, name: str, body: Json, **query: str) -> Json:
        """Change the fields of a resource that ``updateMask`` names."""
        return self._call("PATCH", f"/v1/{name}", query, body)

    def delete(self, name: str) -> Json:
        return self._call("DELETE", f"/v1/{name}", {})

    def call(self, verb: str, path: str, query: dict[str, str], body: Json | None = None) -> Json:
        """A method of another API that the server has, by its whole path."""
        return self._call(verb, path, query, body)

    def list(self, collection: str) -> Iterator[Json]:
        """Every resource of a collection, page after page."""
        return self._pages(f"/v1/{collection}", collection.rpartition("/")[2])

    def log(self, operation: str) -> Iterator[Json]:
        """Every entry of an operation's error log."""
        return self._pages(f"/logs/{operation}", "entries", pageSize="1000")

    def search(self, path: str, query: dict[str, str]) -> Sequence[Json]:
        """A page of what a search finds (PS3.18 §10.6), as DICOM JSON; nothing is 204."""
        response, answer = self._send("GET", f"/v1/{path}", query)
        if response.is_success and (response.status_code == _NO_CONTENT or isinstance(answer, list)):
            return answer or []
        raise _error(self.server, response, answer)

    def store(self, path: str, parts: Iterable[bytes], content_type: str) -> Json:
        """The Store Instances Response (PS3.18 §10.5.3), also where none was stored: that is 409, too."""
        headers = {"content-type": content_type, "accept": "application/dicom+json"}
        response, answer = self._send("POST", f"/v1/{path}", {}, content=parts, headers=headers, timeout=_STORE_TIMEOUT)
        if isinstance(answer, dict) and "error" not in answer and (response.is_success or response.status_code == 409):
            return answer
        raise _error(self.server, response, answer)

    def _pages(self, path: str, field: str, **query: str) -> Iterator[Json]:
        while True:
            page = self._call("GET", path, query)
            yield from page.get(field, ())
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = page["nextPageToken"]

    def _call(self, verb: str, path: str, query: dict[str, str], body: Json | None = None) -> Json:
        response, answer = self._send(verb, path, query, json=body)
        if response.is_success and isinstance(answer, dict):
            return answer
        raise _error(self.server, response, answer)

    def _send(self, verb: str, path: str, query: dict[str, str], **options: Any) -> tuple[httpx.Response, Any]:
        """The response and its JSON, None where it is none."""
        check_segments(*path.split("/")[1:])  # httpx would resolve dot segments and request another resource
        url = self.server + url_path(path)
        try:
            response = self._http.request(verb, url, params=query, **options)
        except UnicodeEncodeError:  # a byte of the command line that is no text
            raise InvalidArgument(_("something in the command is not valid Unicode text")) from None
        except httpx.TransportError as error:
            problem = _("no answer from {server}: {reason}")
            raise Unavailable(problem.format(server=self.server, reason=_describe(error))) from None
        try:
            return response, response.json()
        except ValueError:
            return response, None


def _parse(server: str) -> httpx.URL:
    try:
        url = httpx.URL(server)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        problem = _("--server: {value} is not an address such as http://127.0.0.1:8080")
        raise InvalidArgument(problem.format(value=repr(server)))
    if url.path.strip("/").partition("/")[0] in API_VERSIONS:
        problem = _("--server: leave {path} out; the server is {server}")
        raise InvalidArgument(problem.format(path=repr(url.path), server=url.copy_with(raw_path=b"/")))
    return url


def _describe(error: httpx.TransportError) -> str:
    """Why there is no answer: the system's error, which the library has as a cause, or our own words."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            return _(describe_os_error(cause))
        cause = cause.__cause__ or cause.__context__
    return _("it took too long") if isinstance(error, httpx.TimeoutException) else _("the connection was closed")


def _error(server: str, response: httpx.Response, answer: Any) -> StatusError:
    body = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(body, dict) and body.get("message"):
        unknown = InvalidArgument if response.is_client_error else Unknown
        error = _ERRORS.get(str(body.get("status")), unknown)
        return error(str(body["message"]), tuple(body.get("details") or ()) or _NO_DETAILS)
    if response.status_code in _AWAY:
        return Unavailable(_("{server} answers {code}").format(server=server, code=response.status_code))
    problem = _("{server} answers {code} and no JSON of the API: is it a Gantry server?")
    return InvalidArgument(problem.format(server=server, code=response.status_code))
