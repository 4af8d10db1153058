"""Amazon S3, and what speaks its protocol.

Small objects whose keys obstore can name are read and written by it: a request costs it 0.1 ms of CPU, botocore 1.2 ms.
Everything else, which is rare or large, is botocore's: listings, odd keys, parts of large objects, checksums.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import botocore.config
import botocore.session
import obstore
from obstore.store import S3Store

from gantry.errors import Aborted, NotFound, PermissionDenied, StatusError, Unavailable
from gantry.resources import ObjectMeta
from gantry.storage.remote.credentials import make_session, read_credentials
from gantry.storage.remote.errors import is_of_client, read_trouble, translate
from gantry.storage.remote.names import is_nameable
from gantry.storage.remote.place import RemotePlace
from gantry.storage.remote.provider import Checksums, Page
from gantry.storage.remote.s3_pages import AFTER, get_page, read_pages_of

_LIST, _GET = "s3:ListBucket", "s3:GetObject"
_REGION = "us-east-1"  # what servers that speak S3 are called when nobody has named their region
_CONNECT_SECONDS, _SILENT_SECONDS = 10, 30  # less than a worker may be silent (``seams.CALL_SECONDS``)
Out = TypeVar("Out")


class S3:
    """``rights`` are the names of the actions in a policy of IAM."""

    def __init__(self, place: RemotePlace) -> None:
        """Makes no request. Raises BucketAway where the chain of credentials cannot be read."""
        self.place = place
        self._payer = {"RequestPayer": "requester"} if place.requester_pays else {}
        self._session = self._call("credentials", "", lambda: make_session(place))
        self._client = self._call("credentials", "", self._make_client)
        read_pages_of(self._client)
        self._fast = self._make_fast()

    def _make_client(self) -> Any:
        config = botocore.config.Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_SILENT_SECONDS,
            retries={"total_max_attempts": 1},  # ``retrying`` tries again
            max_pool_connections=self.place.concurrency,
            signature_version=botocore.UNSIGNED if self.place.anonymous else None,
            s3={"addressing_style": "path" if self._is_path_style() else "auto"},
            # Servers that are not Amazon's refuse the newer headers; the signature covers the bytes anyway.
            request_checksum_calculation="when_required" if self.place.endpoint else "when_supported",
            response_checksum_validation="when_required",
        )
        return self._session.create_client(
            "s3",
            region_name=self.place.region or self._session.get_config_variable("region") or _REGION,
            endpoint_url=self.place.endpoint or None,
            verify=self.place.ca_file or None,
            config=config,
        )

    def _is_path_style(self) -> bool:
        return self.place.path_style if self.place.path_style is not None else bool(self.place.endpoint)

    def _make_fast(self) -> S3Store:
        options: Any = {
            "allow_http": self.place.endpoint.startswith("http://"),
            "connect_timeout": f"{_CONNECT_SECONDS}s",
            "read_timeout": f"{_SILENT_SECONDS}s",
            "timeout": "1h",  # bytes that come are progress; only silence is an error
            "pool_max_idle_per_host": str(self.place.concurrency),
        }
        if self.place.ca_file:
            with open(self.place.ca_file, "rb") as file:
                options["root_certificate"] = file.read()
        config: dict[str, Any] = {
            "region": self._client.meta.region_name,
            "virtual_hosted_style_request": not self._is_path_style(),
            "skip_signature": self.place.anonymous,
            "request_payer": self.place.requester_pays,
        }
        if self.place.endpoint:
            config["endpoint"] = self.place.endpoint
        if not self.place.anonymous:
            config["credential_provider"] = read_credentials(self._session)
        return S3Store(self.place.bucket, client_options=options, retry_config={"max_retries": 0}, **config)

    def _call(self, right: str, what: str, act: Callable[[], Out]) -> Out:
        try:
            return act()
        except Exception as error:
            if not is_of_client(error):
                raise
            raise translate(error, self.place, right, what) from None

    def exists(self) -> bool:
        """By a listing: the answer to a HEAD request has no body, so that it does not say what is wrong. Whoever needs
        a right that is missing finds it."""
        try:
            self._client.list_objects_v2(Bucket=self.place.bucket, MaxKeys=1, **self._payer)
        except Exception as error:
            if not is_of_client(error):
                raise
            if read_trouble(error).status == 404:
                return False
            found = translate(error, self.place, _LIST)
            if not isinstance(found, PermissionDenied):
                raise found from None
        return True

    def list_page(self, prefix: str, start_after: str, token: str, folders: bool, limit: int) -> Page:
        asked: dict[str, Any] = {"Bucket": self.place.bucket, "Prefix": prefix, "MaxKeys": limit, **self._payer}
        if folders:
            asked["Delimiter"] = "/"
        if token and not token.startswith(AFTER):
            asked["ContinuationToken"] = token
        elif after := token.removeprefix(AFTER) or start_after:
            asked["StartAfter"] = after
        answer = self._call(_LIST, "", lambda: self._client.list_objects_v2(**asked))
        return get_page(answer)

    def head(self, key: str) -> ObjectMeta:
        said = self._head(key, {})
        return ObjectMeta(key, int(said["ContentLength"]), "", said.get("ETag", ""), said.get("StorageClass", ""))

    def _head(self, key: str, more: Mapping[str, str]) -> Any:
        asked = {"Bucket": self.place.bucket, "Key": key, **self._payer, **more}
        try:
            return self._client.head_object(**asked)
        except Exception as error:
            if not is_of_client(error):
                raise
            if read_trouble(error).status in (400, 403):
                self._call(_GET, key, lambda: self._get_any(key, "", 0, 1))  # raises what that answer says
            raise translate(error, self.place, _GET, key) from None

    def get(self, key: str, tag: str, offset: int, length: int) -> tuple[bytes, str]:
        if not length:
            return b"", ""
        act = self._get_fast if is_nameable(key) else self._get_any
        data, encoding = self._call(_GET, key, lambda: act(key, tag, offset, length))
        if len(data) != length:
            raise Unavailable(f"only {len(data)} of {length} bytes came", advice="try again")
        return data, encoding

    def _get_fast(self, key: str, tag: str, offset: int, length: int) -> tuple[bytes, str]:
        options: Any = {"range": (offset, offset + length)}
        if tag:
            options["if_match"] = tag
        found = obstore.get(self._fast, key, options=options)
        return bytes(found.bytes()), found.attributes.get("Content-Encoding", "")

    def _get_any(self, key: str, tag: str, offset: int, length: int) -> tuple[bytes, str]:
        asked = {"Range": f"bytes={offset}-{offset + length - 1}"} | ({"IfMatch": tag} if tag else {})
        found = self._client.get_object(Bucket=self.place.bucket, Key=key, **asked, **self._payer)
        return found["Body"].read(), found.get("ContentEncoding", "")

    def get_checksums(self, key: str, tag: str) -> Checksums:
        said = self._head(key, {"ChecksumMode": "ENABLED"})
        if tag and said.get("ETag") != tag:
            raise Aborted("the object was changed since it was listed", advice="import it again")
        is_whole = said.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
        whole = {name.removeprefix("Checksum"): text for name, text in said.items() if name in _CHECKSUMS}
        is_secret = said.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in said
        return Checksums(not is_secret, whole if is_whole else {})

    def put(self, key: str, data: bytes) -> None:
        act = self._put_fast if is_nameable(key) else self._put_any
        self._call("s3:PutObject", key, lambda: act(key, data))

    def _put_fast(self, key: str, data: bytes) -> None:
        attributes: Any = {"Storage-Class": self.place.storage_class} if self.place.storage_class else None
        obstore.put(self._fast, key, data, attributes=attributes, use_multipart=False)

    def _put_any(self, key: str, data: bytes) -> None:
        self._client.put_object(Bucket=self.place.bucket, Key=key, Body=data, **self._payer, **self._class())

    def _class(self) -> dict[str, str]:
        return {"StorageClass": self.place.storage_class} if self.place.storage_class else {}

    def begin_parts(self, key: str) -> str:
        asked = {"Bucket": self.place.bucket, "Key": key, **self._payer, **self._class()}
        made = self._call("s3:PutObject", key, lambda: self._client.create_multipart_upload(**asked))
        return str(made["UploadId"])

    def put_part(self, key: str, upload: str, number: int, data: bytes) -> str:
        asked = {"Bucket": self.place.bucket, "Key": key, "UploadId": upload, "PartNumber": number, **self._payer}
        return str(self._call("s3:PutObject", key, lambda: self._client.upload_part(Body=data, **asked))["ETag"])

    def end_parts(self, key: str, upload: str, tags: Sequence[str]) -> None:
        parts = {"Parts": [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]}
        asked = {"Bucket": self.place.bucket, "Key": key, "UploadId": upload, **self._payer}
        self._call("s3:PutObject", key, lambda: self._client.complete_multipart_upload(MultipartUpload=parts, **asked))

    def drop_parts(self, key: str, upload: str) -> None:
        asked = {"Bucket": self.place.bucket, "Key": key, "UploadId": upload, **self._payer}
        self._call("s3:AbortMultipartUpload", key, lambda: self._client.abort_multipart_upload(**asked))

    def list_uploads(self, prefix: str) -> list[tuple[str, str]]:
        pages = self._client.get_paginator("list_multipart_uploads")
        asked = {"Bucket": self.place.bucket, "Prefix": prefix}
        return self._call(
            "s3:ListBucketMultipartUploads",
            "",
            lambda: [
                (each["Key"], each["UploadId"]) for page in pages.paginate(**asked) for each in page.get("Uploads", ())
            ],
        )

    def can_copy_from(self, source: RemotePlace) -> bool:
        """One server, reached with the same credentials."""
        mine = self.place
        return (source.provider, source.endpoint, source.access_key_id, source.profile, source.anonymous) == (
            *(mine.provider, mine.endpoint, mine.access_key_id, mine.profile),
            False,
        )

    def copy(self, source: RemotePlace, found: ObjectMeta, key: str) -> None:
        asked: dict[str, Any] = {"Bucket": self.place.bucket, "Key": key, **self._payer, **self._class()}
        asked |= {"CopySource": {"Bucket": source.bucket, "Key": found.key}, "CopySourceIfMatch": found.tag}
        self._call("s3:GetObject and s3:PutObject", found.key, lambda: self._client.copy_object(**asked))

    def delete(self, key: str) -> None:
        try:
            self._call("s3:DeleteObject", key, lambda: self._delete(key))
        except NotFound:
            return

    def _delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self.place.bucket, Key=key, **self._payer)

    def delete_all(self, keys: Sequence[str]) -> dict[str, StatusError]:
        asked = {"Bucket": self.place.bucket, "Delete": {"Objects": [{"Key": key} for key in keys], "Quiet": True}}
        answer = self._call("s3:DeleteObject", "", lambda: self._client.delete_objects(**asked, **self._payer))
        return {each["Key"]: self._read_deletion(each) for each in answer.get("Errors", ())}

    def _read_deletion(self, said: Mapping[str, str]) -> StatusError:
        error = _Said(
            {"Error": said, "ResponseMetadata": {"HTTPStatusCode": _STATUS_OF.get(said.get("Code", ""), 400)}}
        )
        return translate(error, self.place, "s3:DeleteObject", said.get("Key", ""))


class _Said(Exception):
    """An error inside an answer that says 200, in the shape of botocore's."""

    def __init__(self, response: Mapping[str, Any]) -> None:
        super().__init__("")
        self.response = dict(response)


_STATUS_OF = {"AccessDenied": 403, "InternalError": 500, "SlowDown": 503}
_CHECKSUMS = ("ChecksumCRC32", "ChecksumCRC32C", "ChecksumCRC64NVME", "ChecksumSHA1", "ChecksumSHA256")
