"""Amazon S3, and what speaks its protocol.

Small objects whose keys obstore can name are read and written by it: a request costs it 0.1 ms of CPU, botocore 1.2 ms.
Everything else, which is rare or large, is botocore's: listings, odd keys, parts of large objects, checksums.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import obstore
from botocore.exceptions import BotoCoreError

from gantry.errors import (
    Aborted,
    FailedPrecondition,
    NotFound,
    PermissionDenied,
    StatusError,
    Unavailable,
    Unimplemented,
)
from gantry.resources import ObjectMeta
from gantry.storage.remote.collecting import collect
from gantry.storage.remote.credentials import make_session
from gantry.storage.remote.errors import Overloaded, describe_region, is_of_client, read_trouble, translate
from gantry.storage.remote.names import find_text, is_nameable
from gantry.storage.remote.place import RemotePlace
from gantry.storage.remote.provider import BegunUploads, Checksums, Got, Page, Parts
from gantry.storage.remote.s3_clients import make_client, make_fast_client, sends_checksums
from gantry.storage.remote.s3_pages import AFTER, get_page, read_pages_of, unquote_key
from gantry.storage.remote.s3_tags import (
    combine_md5s,
    has_other_md5,
    has_plain_tag,
    make_md5,
    read_digests_of_parts,
    read_md5,
    write_md5,
)

logger = logging.getLogger(__name__)

_LIST, _GET, _PUT = "s3:ListBucket", "s3:GetObject", "s3:PutObject"
_COPY = f"{_GET} and {_PUT}"
_MOST_UPLOADS = 1000  # of one page ("ListMultipartUploads", Amazon S3 API Reference)
_LIST_UPLOADS, _LIST_PARTS = "s3:ListBucketMultipartUploads", "s3:ListMultipartUploadParts"
_SPOILT = "the object storage has other bytes than those that were sent"
_LOST = (
    "the upload in parts is not there any more: somebody has removed it, or it has become the object and the answer "
    "was lost, but the ETag of what is there does not tell that it is made of these parts"
)
_UNKNOWN = "the answer to the last request was lost, and nobody can tell whether the object was written"
_SLOW_SECONDS = 10.0  # after an overload, when nobody needs the fast client
_PIECE = 1 << 20  # bytes: what came before a connection was cut is kept in such pieces
Out = TypeVar("Out")


class S3:
    """``rights`` are the names of the actions in a policy of IAM."""

    most_copied, copied_part = 5 << 30, 1 << 30
    """Bytes that CopyObject can copy, and UploadPartCopy ("Copying objects", Amazon S3 User Guide)."""

    def __init__(self, place: RemotePlace) -> None:
        """Makes no request. Raises BucketAway where the chain of credentials cannot be read."""
        self.place = place
        self._payer = {"RequestPayer": "requester"} if place.requester_pays else {}
        self._slow_until, self._session = 0.0, None
        self._has_md5s = True  # ETags of what is written, as far as it is known
        self.knows_create = True  # its condition, until it has refused it
        self._session = self._call("credentials", "", lambda: make_session(place))
        self._client = self._call("credentials", "", lambda: make_client(place, self._session))
        read_pages_of(self._client)
        self._fast = self._call("credentials", "", lambda: make_fast_client(place, self._session, self._client))

    def _call(self, right: str, what: str, act: Callable[[], Out]) -> Out:
        try:
            return act()
        except Exception as error:
            if not is_of_client(error):
                raise
            raise self._translate(error, right, what) from None

    def _translate(self, error: Exception, right: str, what: str = "") -> StatusError:
        found = translate(error, self._describe_place(), right, what)
        if isinstance(found, Overloaded):
            self._slow_until = time.monotonic() + _SLOW_SECONDS
        return found

    def _describe_place(self) -> RemotePlace:
        """With the key that the chain of credentials has found."""
        if self.place.access_key_id or self._session is None or self.place.anonymous:
            return self.place
        with suppress(BotoCoreError):
            if (found := self._session.get_credentials()) is not None:
                return replace(self.place, access_key_id=found.access_key)
        return self.place

    def _is_fast(self, key: str) -> bool:
        """obstore does not say how long the provider wants to be left alone (Retry-After); botocore does."""
        return is_nameable(key) and time.monotonic() >= self._slow_until

    def exists(self) -> bool:
        """By a listing: the answer to a HEAD request has no body, so that it does not say what is wrong. Whoever needs
        a right that is missing finds it."""
        try:
            said = self._client.list_objects_v2(Bucket=self.place.bucket, MaxKeys=1, **self._payer)
            self._require_region(said["ResponseMetadata"].get("HTTPHeaders", {}))
        except Exception as error:
            if not is_of_client(error):
                raise
            if read_trouble(error).status == 404:
                return False
            found = self._translate(error, _LIST)
            if not isinstance(found, PermissionDenied):
                raise found from None
        return True

    def _require_region(self, headers: Mapping[str, str]) -> None:
        """A listing may be answered from another region; obstore is not."""
        region = headers.get("x-amz-bucket-region", "")
        if region and region != self._client.meta.region_name and not self.place.endpoint:
            raise describe_region(self.place, region)

    def list_page(self, prefix: str, start_after: str, token: str, folders: bool, limit: int) -> Page:
        asked: dict[str, Any] = {"Bucket": self.place.bucket, "Prefix": prefix, "MaxKeys": limit, **self._payer}
        if folders:
            asked["Delimiter"] = "/"
        if token and not token.startswith(AFTER):
            asked["ContinuationToken"] = token
        elif after := token.removeprefix(AFTER) or start_after:
            asked["StartAfter"] = find_text(after)
        answer = self._call(_LIST, "", lambda: self._client.list_objects_v2(**asked))
        return get_page(answer)

    def head(self, key: str) -> ObjectMeta:
        said = self._head(key, {})
        return ObjectMeta(key, int(said["ContentLength"]), "", said.get("ETag", ""), said.get("StorageClass", ""))

    def _head(self, key: str, more: Mapping[str, Any]) -> Any:
        asked = {"Bucket": self.place.bucket, "Key": key, **self._payer, **more}
        try:
            return self._client.head_object(**asked)
        except Exception as error:
            if not is_of_client(error):
                raise
            if read_trouble(error).status in (301, 400, 403, 404):
                self._call(_GET, key, lambda: self._get_any(key, "", 0, 1))  # raises what that answer says
            raise self._translate(error, _GET, key) from None

    def get(self, key: str, tag: str, offset: int, length: int) -> Got:
        if not length:
            return Got(b"")
        act = self._get_fast if self._is_fast(key) else self._get_any
        got = self._call(_GET, key, lambda: act(key, tag, offset, length))
        if not 0 < len(got.data) <= length:
            raise Unavailable(f"{len(got.data)} bytes came where {length} were asked for", advice="try again")
        return got

    def _get_fast(self, key: str, tag: str, offset: int, length: int) -> Got:
        options: Any = {"range": (offset, offset + length)}
        if tag:
            options["if_match"] = tag
        found = obstore.get(self._fast, key, options=options)
        encoding, found_tag = found.attributes.get("Content-Encoding", ""), found.meta["e_tag"] or ""
        if length <= _PIECE:
            return Got(bytes(found.bytes()), encoding, found_tag)
        return Got(collect(map(bytes, found.stream(_PIECE)), length), encoding, found_tag)

    def _get_any(self, key: str, tag: str, offset: int, length: int) -> Got:
        asked = {"Range": f"bytes={offset}-{offset + length - 1}"} | ({"IfMatch": tag} if tag else {})
        found = self._client.get_object(Bucket=self.place.bucket, Key=key, **asked, **self._payer)
        if offset and not found.get("ContentRange", "").startswith(f"bytes {offset}-"):
            found["Body"].close()
            raise Unavailable("other bytes of the object came than were asked for", advice="try again")
        with closing(found["Body"]) as body:  # else what is left would be taken for the next answer
            data = collect(body.iter_chunks(_PIECE), length)
        return Got(data, found.get("ContentEncoding", ""), found.get("ETag", ""))

    def get_checksums(self, key: str, tag: str) -> Checksums:
        try:
            said = self._head(key, {"ChecksumMode": "ENABLED"})
        except (FailedPrecondition, Unimplemented):
            said = self._head(key, {})  # of a server that does not know the header
        if tag and said.get("ETag") != tag:
            raise Aborted("the object was changed since it was listed", advice="import it again")
        is_whole = said.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
        texts = {name.removeprefix("Checksum"): text for name, text in said.items() if name in _CHECKSUMS}
        count, digests = read_digests_of_parts(said, {} if is_whole else texts)
        parts = Parts(count, digests, partial(self._find_size, key, tag, count)) if count else None
        return Checksums(has_plain_tag(said), texts if is_whole else {}, parts)

    def _find_size(self, key: str, tag: str, count: int, number: int) -> int:
        """Of a part. It needs no right but that to read, as GetObjectAttributes does, and tells no more with it. A
        server that does not say how many parts there are does not know them."""
        try:
            said = self._head(key, {"PartNumber": number, **({"IfMatch": tag} if tag else {})})
        except Unavailable:
            raise
        except StatusError:
            return 0
        return int(said["ContentLength"]) if said.get("PartsCount") == count else 0

    def put(self, key: str, data: bytes, tag: str = "") -> None:
        """What the server has is compared with what was sent: here by the MD5 in its ETag, or by the server itself,
        with a checksum that the request says."""
        if tag:
            return self._put_over(key, data, tag)
        is_compared = sends_checksums(self.place)
        if self._is_fast(key) and (self._has_md5s or is_compared):
            new = self._call(_PUT, key, lambda: self._put_fast(key, data))
            if not self._has_md5s or read_md5(new) == make_md5(data):
                return None
            if self._is_spoilt(key, new):
                raise Unavailable(_SPOILT, advice="try again")
            self._has_md5s = False  # from now on nobody looks at them
            if is_compared:
                return None
        return self._call(_PUT, key, lambda: self._put_any(key, data))

    def _put_fast(self, key: str, data: bytes) -> str:
        attributes: Any = {"Storage-Class": self.place.storage_class} if self.place.storage_class else None
        return obstore.put(self._fast, key, data, attributes=attributes, use_multipart=False)["e_tag"] or ""

    def _put_over(self, key: str, data: bytes, tag: str) -> None:
        try:
            return self._call(_PUT, key, lambda: self._put_any(key, data, {"IfMatch": tag}))
        except Unimplemented:
            return self._call(_PUT, key, lambda: self._put_any(key, data))

    def create(self, key: str, data: bytes) -> None:
        """Older servers ignore the condition, or refuse it in one way or another: then they are not asked again."""
        condition = {"IfNoneMatch": "*"} if self.knows_create else {}
        try:
            self._call(_PUT, key, lambda: self._put_any(key, data, condition))
        except (FailedPrecondition, Unimplemented) as refused:
            if not condition:
                raise
            self._create_anyway(key, data, refused)

    def _create_anyway(self, key: str, data: bytes, refused: StatusError) -> None:
        self.knows_create = False  # so that nobody tries it again, should the answer be lost
        try:
            self._call(_PUT, key, lambda: self._put_any(key, data))
        except Unavailable:
            raise
        except StatusError:
            self.knows_create = True  # it was not the condition that was refused
            raise
        logger.warning(
            "%s does not know If-None-Match (%s): writes of new segments are not sent again",
            self.place.address,
            refused.what,
        )

    def _put_any(self, key: str, data: bytes, more: Mapping[str, str] | None = None) -> None:
        """Raises Unavailable for other bytes than ``data``."""
        asked = {"Bucket": self.place.bucket, "Key": key, "ContentMD5": write_md5(data), **(more or {})}
        _require_plain(self._client.put_object(**asked, Body=data, **self._payer, **self._class()), data)

    def _is_spoilt(self, key: str, tag: str) -> bool:
        """Whether a tag that is another one than that of the bytes is an MD5. Who may write may not read everywhere:
        then nobody can tell."""
        try:
            return read_md5(tag) is not None and self.get_checksums(key, tag).has_md5
        except (Aborted, NotFound, PermissionDenied):
            return False

    def _class(self) -> dict[str, str]:
        return {"StorageClass": self.place.storage_class} if self.place.storage_class else {}

    def begin_parts(self, key: str) -> str:
        asked = {"Bucket": self.place.bucket, "Key": key, **self._payer, **self._class()}
        made = self._call(_PUT, key, lambda: self._client.create_multipart_upload(**asked))
        return str(made["UploadId"])

    def find_begun(self, key: str) -> Sequence[str]:
        """By one request: of all keys that begin so, this one sorts first. One more for each upload of it: those that
        have parts are somebody's who knows them."""
        asked = {"Bucket": self.place.bucket, "Prefix": key, "EncodingType": "url", **self._payer}
        said = self._call(_LIST_UPLOADS, "", lambda: self._client.list_multipart_uploads(**asked))
        read = unquote_key if said.get("EncodingType") == "url" else str
        uploads = [each["UploadId"] for each in said.get("Uploads", ()) if read(each["Key"]) == key]
        return [each for each in uploads if not self._has_parts(key, each)]

    def list_begun(self, prefix: str, token: tuple[str, str] | None) -> BegunUploads:
        asked = {"Bucket": self.place.bucket, "Prefix": prefix, "EncodingType": "url", "MaxUploads": _MOST_UPLOADS}
        asked |= {"KeyMarker": token[0], "UploadIdMarker": token[1]} if token else {}
        said = self._call(_LIST_UPLOADS, "", lambda: self._client.list_multipart_uploads(**asked, **self._payer))
        read = unquote_key if said.get("EncodingType") == "url" else str
        found = [(read(each["Key"]), str(each["UploadId"])) for each in said.get("Uploads", ())]
        behind = read(said.get("NextKeyMarker", "")), str(said.get("NextUploadIdMarker", ""))
        return BegunUploads(found, behind if said.get("IsTruncated") and behind != token else None)

    def _has_parts(self, key: str, upload: str) -> bool:
        asked = {"Bucket": self.place.bucket, "Key": key, "UploadId": upload, "MaxParts": 1, **self._payer}
        try:
            return bool(self._call(_LIST_PARTS, key, lambda: self._client.list_parts(**asked)).get("Parts"))
        except NotFound:
            return True  # it has ended meanwhile

    def put_part(self, key: str, upload: str, number: int, data: bytes) -> str:
        asked = {"Bucket": self.place.bucket, "Key": key, "UploadId": upload, "PartNumber": number, **self._payer}
        asked["ContentMD5"] = write_md5(data)
        said = self._call(_PUT, key, lambda: self._client.upload_part(Body=data, **asked))
        _require_plain(said, data)
        return str(said["ETag"])

    def end_parts(self, key: str, upload: str, tags: Sequence[str]) -> None:
        parts = {"Parts": [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]}
        asked = {"Bucket": self.place.bucket, "Key": key, "UploadId": upload, **self._payer}
        try:
            self._call(_PUT, key, lambda: self._client.complete_multipart_upload(MultipartUpload=parts, **asked))
        except NotFound:
            expected = combine_md5s(tags)
            if not expected or self._find_tag(key) != expected:
                raise NotFound(_LOST, advice="write it again") from None

    def _find_tag(self, key: str) -> str:
        """The ETag of an object that was written just now, "" for none. Who may write may not read everywhere, but may
        list. Raises PermissionDenied, which says what cannot be known then."""
        try:
            return self.head(key).tag
        except NotFound:
            return ""
        except PermissionDenied as error:
            try:
                found = self.list_page(key, "", "", False, 1).objects
            except PermissionDenied:
                raise error.within(_UNKNOWN) from None
            return next((each.tag for each in found if each.key == key), "")

    def drop_parts(self, key: str, upload: str) -> None:
        asked = {"Bucket": self.place.bucket, "Key": key, "UploadId": upload, **self._payer}
        self._call("s3:AbortMultipartUpload", key, lambda: self._client.abort_multipart_upload(**asked))

    def can_copy_from(self, source: RemotePlace) -> bool:
        """One server, reached with the same credentials."""
        return _describe_access(source) == _describe_access(self.place) and not source.anonymous

    def copy(self, source: RemotePlace, found: ObjectMeta, key: str) -> None:
        asked = self._name_copy(source, found, key)
        self._call(_COPY, found.key, lambda: self._client.copy_object(**asked, **self._class()))

    def copy_part(
        self, source: RemotePlace, found: ObjectMeta, key: str, upload: str, number: int, offset: int, length: int
    ) -> str:
        asked = self._name_copy(source, found, key) | {"UploadId": upload, "PartNumber": number}
        asked["CopySourceRange"] = f"bytes={offset}-{offset + length - 1}"
        said = self._call(_COPY, found.key, lambda: self._client.upload_part_copy(**asked))
        return str(said["CopyPartResult"]["ETag"])

    def _name_copy(self, source: RemotePlace, found: ObjectMeta, key: str) -> dict[str, Any]:
        asked: dict[str, Any] = {"Bucket": self.place.bucket, "Key": key, **self._payer}
        asked["CopySource"] = {"Bucket": source.bucket, "Key": found.key}
        payer = {"RequestPayer": "requester"} if source.requester_pays else {}
        return asked | payer | ({"CopySourceIfMatch": found.tag} if found.tag else {})

    def delete(self, key: str) -> None:
        try:
            self._call("s3:DeleteObject", key, lambda: self._delete(key))
        except NotFound:
            return

    def _delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self.place.bucket, Key=key, **self._payer)

    def delete_all(self, keys: Sequence[str]) -> dict[str, StatusError]:
        asked = {"Bucket": self.place.bucket, "Delete": {"Objects": [{"Key": key} for key in keys]}}
        answer = self._call("s3:DeleteObject", "", lambda: self._client.delete_objects(**asked, **self._payer))
        said = {each["Key"]: self._read_deletion(each) for each in answer.get("Errors", ())}
        silent = {*keys} - {each["Key"] for each in answer.get("Deleted", ())} - said.keys()
        return said | {key: Unavailable(_SILENT) for key in silent}

    def _read_deletion(self, said: Mapping[str, str]) -> StatusError:
        error = _Said(
            {"Error": said, "ResponseMetadata": {"HTTPStatusCode": _STATUS_OF.get(said.get("Code", ""), 400)}}
        )
        return self._translate(error, "s3:DeleteObject", said.get("Key", ""))


def _describe_access(place: RemotePlace) -> tuple[object, ...]:
    key = place.access_key_id, place.secret_access_key, place.session_token
    return place.provider, place.endpoint, place.profile, place.instance_metadata, *key


def _require_plain(said: Mapping[str, Any], data: bytes) -> None:
    """Raises Unavailable where the answer to a write has the MD5 of other bytes."""
    if has_other_md5(str(said.get("ETag", "")), data) and has_plain_tag(said):
        raise Unavailable(_SPOILT, advice="try again")


class _Said(Exception):
    """An error inside an answer that says 200, in the shape of botocore's."""

    def __init__(self, response: Mapping[str, Any]) -> None:
        super().__init__("")
        self.response = dict(response)


_SILENT = "the object storage does not say whether it was deleted"
"""An answer without a body would else look like one that all is done."""
_STATUS_OF = {"AccessDenied": 403, "InternalError": 500, "SlowDown": 503}
_CHECKSUMS = ("ChecksumCRC32", "ChecksumCRC32C", "ChecksumCRC64NVME", "ChecksumSHA1", "ChecksumSHA256")
