"""Azure Blob Storage: buckets are containers of an account, objects are block blobs.

All requests are our own: the answers of obstore leave out Content-MD5, so that each object would need a second request
(docs/decisions/0020).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from xml.etree.ElementTree import ParseError

from gantry.beats import beat_again
from gantry.errors import Aborted, NotFound, PermissionDenied, StatusError, Unavailable, Unimplemented
from gantry.resources import ObjectMeta
from gantry.storage.remote.azure_credentials import find_access
from gantry.storage.remote.azure_digests import KnownDigests, UploadDigests
from gantry.storage.remote.azure_pages import parse_page, write_tag
from gantry.storage.remote.azure_requests import Requests
from gantry.storage.remote.connections import MOST_BYTES, Answer
from gantry.storage.remote.errors import is_of_client, read_trouble, translate
from gantry.storage.remote.place import RemotePlace
from gantry.storage.remote.provider import BegunUploads, Checksums, Got, Page

_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
_READ, _WRITE, _DELETE = f"{_BLOBS}/read", f"{_BLOBS}/write", f"{_BLOBS}/delete"
_CONTAINER = {"restype": "container", "comp": "list"}
_COPY_SECONDS = 0.5  # between two looks at a copy that the server makes later
_STANDING_SECONDS = 300.0  # by which such a copy is no further
Out = TypeVar("Out")


class Azure:
    """``rights`` are the names of the actions in a role of Azure."""

    knows_create = True

    def __init__(self, place: RemotePlace) -> None:
        """Makes no request. Raises BucketAway where there are no credentials."""
        self.place, self._access = place, find_access(place)
        self._requests = Requests(place, self._access)
        self._known, self._uploads = KnownDigests(), UploadDigests()

    def _call(self, right: str, what: str, act: Callable[[], Out]) -> Out:
        try:
            return act()
        except Exception as error:
            if not is_of_client(error):
                raise
            raise self._translate(error, right, what) from None

    def _translate(self, error: Exception, right: str, what: str = "") -> StatusError:
        return translate(error, self.place, right, what, self._access.identity)

    def _send(
        self,
        right: str,
        method: str,
        key: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        most: int = MOST_BYTES,
    ) -> Answer:
        return self._call(right, key, lambda: self._requests.send(method, key, query, headers, body, most))

    def exists(self) -> bool:
        """Whoever needs a right that is missing finds it."""
        try:
            self._requests.send("GET", "", {**_CONTAINER, "maxresults": "1"})
        except Exception as error:
            if not is_of_client(error):
                raise
            if read_trouble(error).status == 404:
                return False
            found = self._translate(error, _READ)
            if not isinstance(found, PermissionDenied):
                raise found from None
        return True

    def list_page(self, prefix: str, start_after: str, token: str, folders: bool, limit: int) -> Page:
        """Azure cannot begin behind a key: what comes before ``start_after`` is listed too."""
        if "\0" in prefix:
            return Page(())  # no key holds it, and servers fail on it
        asked = {**_CONTAINER, "include": "metadata", "maxresults": str(limit)}
        asked |= {"prefix": prefix} if prefix else {}
        asked |= {"delimiter": "/"} if folders else {}
        asked |= {"marker": token} if token else {}
        try:
            return parse_page(self._send(_READ, "GET", "", asked).body)
        except ParseError as error:
            raise self._translate(error, _READ) from None

    def head(self, key: str) -> ObjectMeta:
        said = self._send(_READ, "HEAD", key).headers
        if said.get("x-ms-resource-type") == "directory" or said.get("x-ms-meta-hdi_isfolder", "").lower() == "true":
            raise NotFound("there is no object of this name, but a folder")
        tag, tier = write_tag(said.get("etag", "")), said.get("x-ms-access-tier", "")
        return ObjectMeta(key, int(said.get("content-length", 0)), "", tag, tier)

    def get(self, key: str, tag: str, offset: int, length: int) -> Got:
        if not length:
            return Got(b"")
        asked = {"range": f"bytes={offset}-{offset + length - 1}"} | ({"if-match": tag} if tag else {})
        answer = self._send(_READ, "GET", key, headers=asked, most=length)
        if not 0 < len(answer.body) <= length or not answer.begins_at(offset):
            raise Unavailable(
                f"{len(answer.body)} bytes came where {length} were asked for from {offset} on", advice="try again"
            )
        self._known.note(key, answer)
        return Got(answer.body, answer.headers.get("content-encoding", ""), write_tag(answer.headers.get("etag", "")))

    def get_checksums(self, key: str, tag: str) -> Checksums:
        md5 = self._known.take(key, tag)
        if md5 is None:
            said = self._send(_READ, "HEAD", key, headers={"if-match": tag} if tag else None).headers
            md5 = said.get("content-md5", "")
        return Checksums(False, {"MD5": md5} if md5 else {})

    def put(self, key: str, data: bytes, tag: str = "") -> None:
        """The server compares the bytes with the MD5 that is sent."""
        self._put_blob(key, data, {"if-match": tag} if tag else {})

    def create(self, key: str, data: bytes) -> None:
        self._put_blob(key, data, {"if-none-match": "*"})

    def _put_blob(self, key: str, data: bytes, condition: Mapping[str, str]) -> None:
        self._put(key, data, {"x-ms-blob-type": "BlockBlob", **condition, **self._tier()})

    def _put(self, key: str, data: bytes, headers: Mapping[str, str], query: Mapping[str, str] | None = None) -> None:
        md5 = _write_md5(data)
        said = self._send(_WRITE, "PUT", key, query, {"content-md5": md5, **headers}, data).headers
        if said.get("content-md5", md5) != md5:
            raise Unavailable("the object storage has other bytes than those that were sent", advice="try again")

    def _tier(self) -> dict[str, str]:
        return {"x-ms-access-tier": self.place.storage_class} if self.place.storage_class else {}

    def begin_parts(self, key: str) -> str:
        """Nothing has to be asked for: parts are blocks of the blob that nobody sees before they are committed."""
        return secrets.token_hex(16)

    def find_begun(self, key: str) -> Sequence[str]:
        return ()

    def list_begun(self, prefix: str, token: tuple[str, str] | None) -> BegunUploads:
        return BegunUploads(())

    def put_part(self, key: str, upload: str, number: int, data: bytes) -> str:
        block = _name_block(upload, number)
        self._put(key, data, {}, {"comp": "block", "blockid": block})
        self._uploads.note(upload, number, data)
        return block

    def end_parts(self, key: str, upload: str, tags: Sequence[str]) -> None:
        """May be sent again when its answer was lost: ``Latest`` finds blocks that are committed already."""
        blocks = "".join(f"<Latest>{each}</Latest>" for each in tags)
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{blocks}</BlockList>'.encode()
        headers = {"content-md5": _write_md5(body), **self._tier()}
        if md5 := self._uploads.take(upload, len(tags)):
            headers["x-ms-blob-content-md5"] = md5
        self._send(_WRITE, "PUT", key, {"comp": "blocklist"}, headers, body)
        self._uploads.drop(upload)

    def drop_parts(self, key: str, upload: str) -> None:
        """Azure has no request for it: it removes blocks that were not committed after a week."""
        self._uploads.drop(upload)

    def can_copy_from(self, source: RemotePlace) -> bool:
        """One account, reached with the same credentials."""
        return _describe_access(source) == _describe_access(self.place) and not source.anonymous

    def copy(self, source: RemotePlace, found: ObjectMeta, key: str) -> None:
        """Raises Aborted where the copy fails, is another one's, or does not go on."""
        asked = {"x-ms-copy-source": self._requests.locate(source, found.key), **self._tier()}
        if found.tag:
            asked["x-ms-source-if-match"] = found.tag
        said = self._send(f"{_READ} and {_WRITE}", "PUT", key, headers=asked).headers
        name, reached, stood = said.get("x-ms-copy-id"), "", 0.0
        while (status := said.get("x-ms-copy-status", "success")) == "pending" and stood < _STANDING_SECONDS:
            beat_again()
            time.sleep(_COPY_SECONDS)
            said = self._send(_READ, "HEAD", key).headers
            before, reached = reached, said.get("x-ms-copy-progress", "")
            stood = stood + _COPY_SECONDS if reached == before else 0.0
        if status != "success" or said.get("x-ms-copy-id") != name:
            raise Aborted(f"the object storage has given up the copy ({status})", advice="try again")

    def delete(self, key: str) -> None:
        try:
            self._send(_DELETE, "DELETE", key)
        except NotFound:
            return

    def delete_all(self, keys: Sequence[str]) -> dict[str, StatusError]:
        raise Unimplemented("objects of Azure are deleted one by one")


def _describe_access(place: RemotePlace) -> tuple[object, ...]:
    said = place.account_key, place.sas_token, place.instance_metadata, place.anonymous
    return place.provider, place.endpoint, place.account, said


def _name_block(upload: str, number: int) -> str:
    """All names of one blob need the same length."""
    return base64.b64encode(f"{upload}-{number:05}".encode()).decode()


def _write_md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
