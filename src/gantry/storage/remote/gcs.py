"""Google Cloud Storage by its JSON API.

One client, urllib3: a request costs it 0.3 ms of CPU, and it sends every key as it is. The tag of an object is its
generation with its CRC32C, which a listing tells, so that bytes are compared without a further request.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from google.auth.exceptions import GoogleAuthError
from urllib3.exceptions import HTTPError

from gantry.beats import beat_again
from gantry.errors import (
    Aborted,
    DataLoss,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    StatusError,
    Unavailable,
    Unimplemented,
)
from gantry.resources import ObjectMeta
from gantry.storage.remote.errors import translate
from gantry.storage.remote.gcs_credentials import Tokens
from gantry.storage.remote.gcs_errors import Refused, translate_credentials, translate_refusal
from gantry.storage.remote.gcs_http import Http
from gantry.storage.remote.gcs_pages import read_object, read_page
from gantry.storage.remote.gcs_tags import (
    compute_crc32c,
    make_tag,
    read_crc32c,
    read_generation,
    read_hash,
)
from gantry.storage.remote.gcs_uploads import Uploads
from gantry.storage.remote.place import RemotePlace
from gantry.storage.remote.provider import BegunUploads, Checksums, Got, Page

_LIST, _GET, _CREATE = "storage.objects.list", "storage.objects.get", "storage.objects.create"
_DELETE = "storage.objects.delete"
_OBJECT = "name,size,generation,crc32c,storageClass"
_PAGE = f"items({_OBJECT}),prefixes,nextPageToken"
_JSON = {"content-type": "application/json; charset=UTF-8"}
_MOST_STANDING = 10  # answers by which a copy is no further
_SPOILT = "the object storage has other bytes than those that were sent"
_CHANGED = "the object was changed since it was listed"
Out = TypeVar("Out")


class Gcs:
    """Rights are permissions of Google's IAM."""

    knows_create = True

    def __init__(self, place: RemotePlace) -> None:
        """Makes no request. Raises BucketAway where there are no credentials."""
        self.place = place
        self._tokens: Tokens | None = None
        self._tokens = self._call("credentials", "", lambda: Tokens(place))
        self._http = Http(place, self._tokens)
        bucket = quote(place.bucket, safe="")
        self._objects = f"/storage/v1/b/{bucket}/o"
        self._uploads_path = f"/upload/storage/v1/b/{bucket}/o"
        self._uploads = Uploads(self._http, self._uploads_path)

    def _call(self, right: str, what: str, act: Callable[[], Out], has_condition: bool = False) -> Out:
        try:
            return act()
        except Refused as error:
            trouble = error.trouble
            if trouble.status == 412 and right == _CREATE and not has_condition:  # not of a version
                trouble = replace(trouble, status=400)
            raise translate_refusal(trouble, self.place, right, what, self._identity) from None
        except GoogleAuthError as error:
            raise translate_credentials(error, self.place, self._identity) from None
        except (HTTPError, OSError) as error:
            raise translate(error, self.place, right, what) from None
        except ValueError:
            raise Unavailable("what came is no answer of Cloud Storage", advice="try again") from None

    def _ask_json(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> dict[str, Any]:
        """Raises ValueError for an answer that is no object of JSON."""
        found = json.loads(self._http.ask(method, path, query, headers, body).body)
        if not isinstance(found, dict):
            raise ValueError
        return found

    @property
    def _identity(self) -> str:
        return self._tokens.identity if self._tokens is not None else ""

    def _name(self, key: str) -> str:
        """Raises InvalidArgument for what would be another address. No object can have such a name."""
        if key in (".", ".."):
            raise InvalidArgument(f"no object of Cloud Storage can be called {key!r}")
        return f"{self._objects}/{quote(key, safe='')}"

    def exists(self) -> bool:
        """By a listing, which needs no right but that of an import."""
        try:
            return self._call(_LIST, "", self._look)
        except PermissionDenied:
            return True  # whoever needs the right is told

    def _look(self) -> bool:
        try:
            self._http.ask("GET", self._objects, {"maxResults": "1", "fields": _PAGE})
        except Refused as error:
            if error.trouble.status != 404:
                raise
            return False
        return True

    def _list(self, prefix: str, start_after: str, token: str, folders: bool, limit: int) -> dict[str, Any]:
        asked = {"prefix": prefix, "startOffset": start_after, "pageToken": token, "delimiter": "/" if folders else ""}
        query = {name: text for name, text in asked.items() if text} | {"maxResults": str(limit), "fields": _PAGE}

        return self._call(_LIST, "", partial(self._ask_json, "GET", self._objects, query))

    def list_page(self, prefix: str, start_after: str, token: str, folders: bool, limit: int) -> Page:
        """``startOffset`` belongs to what is listed, ``start_after`` does not."""
        found = self._list(prefix, start_after, token, folders, limit)
        page = self._call(_LIST, "", lambda: read_page(found))
        return page._replace(objects=[each for each in page.objects if each.key != start_after])

    def head(self, key: str) -> ObjectMeta:
        if key in (".", ".."):
            raise NotFound("there is no object of this name")
        return self._call(
            _GET,
            key,
            lambda: read_object(self._ask_json("GET", self._name(key), {"fields": _OBJECT})),
        )

    def get(self, key: str, tag: str, offset: int, length: int) -> Got:
        """The stored bytes: without the header Accept-Encoding Google would unpack those of gzip."""
        if not length:
            return Got(b"")
        generation = read_generation(tag)
        query = {"alt": "media"} | ({"ifGenerationMatch": generation} if generation else {})
        sent = {"range": f"bytes={offset}-{offset + length - 1}", "accept-encoding": "gzip"}
        said = self._call(_GET, key, lambda: self._http.ask("GET", self._name(key), query, sent, most=length))
        here = _require_version(said.headers, tag)
        if not 0 < len(said.body) <= length or not said.begins_at(offset):
            raise Unavailable(
                f"{len(said.body)} bytes came where {length} were asked for from {offset} on", advice="try again"
            )
        stored = said.headers.get("x-goog-stored-content-encoding") or said.headers.get("content-encoding", "")
        return Got(said.body, stored, here)

    def get_checksums(self, key: str, tag: str) -> Checksums:
        """The tag has it, but for objects with keys of the customer."""
        crc32c = read_crc32c(tag)
        if not crc32c:
            found = self.head(key).tag
            if read_generation(tag) and read_generation(found) != read_generation(tag):
                raise Aborted(_CHANGED, advice="import it again")
            crc32c = read_crc32c(found)
        return Checksums(False, {"CRC32C": crc32c} if crc32c else {})

    def put(self, key: str, data: bytes, tag: str = "") -> None:
        """Google refuses bytes that have another CRC32C than the request says."""
        self._put(key, data, f"{_CREATE} and {_DELETE}" if tag else _CREATE, read_generation(tag))

    def create(self, key: str, data: bytes) -> None:
        self._put(key, data, _CREATE, _NONE)

    def _put(self, key: str, data: bytes, right: str, generation: str) -> None:
        self._name(key)
        crc32c = compute_crc32c(data)
        kind, body = _make_related({"name": key, "crc32c": crc32c, **self._class()}, data)
        query = {**_MULTIPART, "ifGenerationMatch": generation} if generation else _MULTIPART
        ask = partial(self._ask_json, "POST", self._uploads_path, query, kind, body)
        found = self._call(right, key, ask, bool(generation))
        if found.get("crc32c", crc32c) != crc32c:
            raise Unavailable(_SPOILT, advice="try again")

    def _class(self) -> dict[str, str]:
        return {"storageClass": self.place.storage_class} if self.place.storage_class else {}

    def begin_parts(self, key: str) -> str:
        self._name(key)
        return self._call(_CREATE, key, lambda: self._uploads.begin(key, self._class()))

    def find_begun(self, key: str) -> Sequence[str]:
        """Google lists no resumable uploads: one that was never ended costs nothing and is gone after a week."""
        return ()

    def list_begun(self, prefix: str, token: tuple[str, str] | None) -> BegunUploads:
        return BegunUploads(())

    def put_part(self, key: str, upload: str, number: int, data: bytes) -> str:
        self._call(_CREATE, key, lambda: self._uploads.put(upload, number, data))
        return str(number)

    def end_parts(self, key: str, upload: str, tags: Sequence[str]) -> None:
        """Raises DataLoss for an object that has other bytes, which is deleted."""
        found, crc32c = self._call(_CREATE, key, lambda: self._uploads.end(upload))
        if found.get("crc32c", crc32c) != crc32c:
            self._delete(key, {"ifGenerationMatch": str(found.get("generation", ""))})
            raise DataLoss(_SPOILT, advice="try again")
        self._uploads.forget(upload)

    def drop_parts(self, key: str, upload: str) -> None:
        self._call(_CREATE, key, lambda: self._uploads.drop(upload))

    def can_copy_from(self, source: RemotePlace) -> bool:
        """One service, reached with the same credentials."""
        return _describe_access(source) == _describe_access(self.place) and not source.anonymous

    def copy(self, source: RemotePlace, found: ObjectMeta, key: str) -> None:
        """Google may need several requests for a large object, and says how far it is. Raises Aborted where it does
        not go on."""
        self._name(key)
        there = f"/storage/v1/b/{quote(source.bucket, safe='')}/o/{quote(found.key, safe='')}"
        path = f"{there}/rewriteTo{self._name(key).removeprefix('/storage/v1')}"
        generation = read_generation(found.tag)
        query = {"ifSourceGenerationMatch": generation} if generation else {}
        body = json.dumps(self._class()).encode()
        right, reached, stood = f"{_GET} and {_CREATE}", "", 0
        while stood < _MOST_STANDING:
            ask = partial(self._ask_json, "POST", path, query, _JSON, body)
            said = self._call(right, found.key, ask)
            if said.get("done", True):
                return
            query = {**query, "rewriteToken": str(said.get("rewriteToken", ""))}
            before, reached = reached, str(said.get("totalBytesRewritten", ""))
            stood = stood + 1 if reached == before else 0
            beat_again()
        raise Aborted("the object storage does not go on with the copy of the object", advice="try again")

    def delete(self, key: str) -> None:
        if key not in (".", ".."):
            self._delete(key, {})

    def _delete(self, key: str, query: Mapping[str, str]) -> None:
        try:
            self._call(_DELETE, key, lambda: self._http.ask("DELETE", self._name(key), query))
        except NotFound:
            return

    def delete_all(self, keys: Sequence[str]) -> dict[str, StatusError]:
        raise Unimplemented("Cloud Storage deletes one object by one request")


_MULTIPART = {"uploadType": "multipart"}
_NONE = "0"
"""The generation of what is not there ("Request preconditions", Cloud Storage documentation)."""


def _make_related(about: Mapping[str, str], data: bytes) -> tuple[dict[str, str], bytes]:
    """Header and body of an upload by one request (RFC 2387)."""
    mark = secrets.token_hex(16)
    head = (
        f"--{mark}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(about)}\r\n"
        f"--{mark}\r\nContent-Type: application/octet-stream\r\n\r\n"
    )
    body = b"".join((head.encode(), data, f"\r\n--{mark}--\r\n".encode()))
    return {"content-type": f"multipart/related; boundary={mark}"}, body


def _require_version(headers: Mapping[str, str], tag: str) -> str:
    """The tag of an answer. Looked at for servers that do not know ``ifGenerationMatch``. Raises Aborted."""
    generation, crc32c = headers.get("x-goog-generation", ""), read_hash(headers.get("x-goog-hash", ""))
    here = make_tag(generation, crc32c)
    if tag and generation and read_generation(here) != read_generation(tag):
        raise Aborted(_CHANGED, advice="import it again")
    if crc32c and read_crc32c(tag) and crc32c != read_crc32c(tag):
        raise Aborted(_CHANGED, advice="import it again")
    return here if generation else ""


def _describe_access(place: RemotePlace) -> tuple[object, ...]:
    said = place.credentials_file, place.instance_metadata, place.anonymous, place.billing_project
    return place.provider, place.endpoint, said
