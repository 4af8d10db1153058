"""Requests to Google Cloud Storage, with the token of the bucket's identity."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit

from gantry.storage.remote.connections import MOST_BYTES, Answer, Connections
from gantry.storage.remote.gcs_credentials import Tokens
from gantry.storage.remote.gcs_errors import Refused, read_refusal
from gantry.storage.remote.place import RemotePlace

_SERVICE = "https://storage.googleapis.com"


class Http:
    """Every request says who asks and who pays. ``base`` is the path of the endpoint."""

    def __init__(self, place: RemotePlace, tokens: Tokens) -> None:
        """Makes no request. Raises FailedPrecondition where the file of certificates cannot be read."""
        self.tokens = tokens
        self._more = {"userProject": place.billing_project} if place.billing_project else {}
        parts = urlsplit(place.endpoint or _SERVICE)
        self._connections = Connections(place, f"{parts.scheme}://{parts.netloc}")
        self.base = parts.path.rstrip("/")

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        passes: tuple[int, ...] = (),
        most: int = MOST_BYTES,
    ) -> Answer:
        """Raises Refused for an answer that is neither a success nor in ``passes``, and urllib3's exceptions."""
        asked = {**(query or {}), **self._more}
        sent = {**self.tokens.make_headers(), **(headers or {})}
        mark = "&" if "?" in path else "?"
        target = self.base + (f"{path}{mark}{urlencode(asked, quote_via=quote)}" if asked else path)
        answer = self._connections.send(method, target, sent, body, most)
        if 200 <= answer.status < 300 or answer.status in passes:
            return answer
        if answer.status == 401:
            self.tokens.forget()
        raise Refused(read_refusal(*answer))
