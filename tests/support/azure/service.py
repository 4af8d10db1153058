"""What the server of Blob Storage answers. Operations have the names of those of S3, so that faults are the same."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from tests.support.azure.operations import OPERATIONS
from tests.support.s3.errors import STATUS, S3Error
from tests.support.s3.messages import Answer, Request
from tests.support.s3.service import Service

STATUS.update(
    {
        "AuthenticationFailed": (403, "Server failed to authenticate the request.\nRequestId:1\nTime:2"),
        "AuthorizationPermissionMismatch": (403, "This request is not authorized to perform this operation."),
        "BlobAlreadyExists": (409, "The specified blob already exists."),
        "BlobArchived": (409, "This operation is not permitted on an archived blob."),
        "BlobNotFound": (404, "The specified blob does not exist."),
        "ConditionNotMet": (412, "The condition specified using HTTP conditional header(s) is not met."),
        "ContainerNotFound": (404, "The specified container does not exist."),
        "InvalidBlobOrBlock": (400, "The specified blob or block content is invalid."),
        "InvalidBlockList": (400, "The specified block list is invalid."),
        "LeaseIdMissing": (412, "There is currently a lease on the blob and no lease ID was specified in the request."),
        "Md5Mismatch": (400, "The MD5 value specified in the request did not match the value calculated."),
        "OperationTimedOut": (500, "The operation could not be completed within the permitted time."),
        "ServerBusy": (503, "The server is currently unable to receive requests."),
    }
)
RENAMED = {"NoSuchKey": "BlobNotFound", "NoSuchBucket": "ContainerNotFound", "PreconditionFailed": "ConditionNotMet"}
ACCOUNT = re.compile(r"SharedKey ([a-z0-9]+):")


class AzureService(Service):
    def name_request(self, request: Request) -> None:
        request.operation = _name_operation(request)

    def run(self, request: Request) -> Answer:
        self._check_access(request)
        if not request.operation:
            raise S3Error("NotImplemented")
        return OPERATIONS[request.operation](self.store, request)

    def write_error(self, request: Request, error: S3Error, headers: dict[str, str]) -> Answer:
        code = RENAMED.get(error.code, error.code)
        answer = super().write_error(request, S3Error(code, status=error.status, **error.details), headers)
        answer.status = error.status
        answer.headers["x-ms-error-code"] = code
        return answer

    def _check_access(self, request: Request) -> None:
        """Only the name of the account, or that there is a SAS token or a bearer: no signature is computed."""
        sent = request.headers.get("authorization", "")
        found = ACCOUNT.match(sent)
        if self.access_key and (found is None or found[1] != self.access_key) and not _has_token(request, sent):
            raise S3Error("AuthenticationFailed")


def _name_operation(request: Request) -> str:
    query, is_object = request.query, bool(request.key)
    if request.method == "PUT" and is_object:
        copied = "CopyObject" if "x-ms-copy-source" in request.headers else "PutObject"
        return {"block": "UploadPart", "blocklist": "CompleteMultipartUpload"}.get(query.get("comp", ""), copied)
    if request.method == "PUT":
        return "CreateBucket" if query.get("restype") == "container" else ""
    if is_object:
        return {"GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}.get(request.method, "")
    return "ListObjectsV2" if query.get("comp") == "list" else ""


def _has_token(request: Request, authorization: str) -> bool:
    query = dict(parse_qsl(request.path.partition("?")[2]))
    return authorization.startswith("Bearer good") or "sig" in request.query or "sig" in query
