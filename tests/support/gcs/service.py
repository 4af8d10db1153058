"""What the server knows, and its answer to one request of the JSON API."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.gcs.objects import OPERATIONS, answer_json
from tests.support.gcs.requests import read_request
from tests.support.gcs.store import Bucket, make_object
from tests.support.s3.errors import S3Error
from tests.support.s3.messages import Answer, Request
from tests.support.s3.service import Service

REASONS = {
    "AccessDenied": (403, "forbidden", "t@example.org does not have access to the Google Cloud Storage object."),
    "BadDigest": (400, "invalid", "Provided CRC32C does not match calculated CRC32C."),
    "ExpiredToken": (401, "authError", "Invalid Credentials"),
    "InternalError": (500, "backendError", "Backend Error"),
    "NoSuchBucket": (404, "notFound", "The specified bucket does not exist."),
    "NoSuchKey": (404, "notFound", "No such object: it"),
    "PreconditionFailed": (412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold."),
    "SlowDown": (503, "backendError", "We are sorry, slow down"),
    "TooManyRequests": (429, "rateLimitExceeded", "The project exceeded the rate limit"),
    "RequestTimeTooSkewed": (403, "rateLimitExceeded", "The project exceeded the rate limit"),
    "InvalidObjectState": (403, "retentionPolicyNotMet", "Object is subject to a retention policy"),
}
"""By the codes of S3: how Cloud Storage says it ("HTTP status and error codes for JSON")."""


@dataclass
class GcsService(Service):
    """``access_key`` is the token that is let in. What tests make past the product is of the XML API: ``PUT /BUCKET``
    and ``PUT /BUCKET/KEY``."""

    def name_request(self, request: Request) -> None:
        if request.path.startswith(("/storage/", "/upload/")):
            read_request(request)
        else:
            request.operation = "CreateBucket" if not request.key else "PutObject"

    def run(self, request: Request) -> Answer:
        if not request.path.startswith(("/storage/", "/upload/")):
            return self._make(request)
        if self.access_key and request.headers.get("authorization", "") != f"Bearer {self.access_key}":
            raise S3Error("ExpiredToken")
        if request.operation not in OPERATIONS:
            raise S3Error("NotImplemented")
        return OPERATIONS[request.operation](self.store, request)

    def _make(self, request: Request) -> Answer:
        if request.method != "PUT":
            raise S3Error("NotImplemented")
        if not request.key:
            self.store.buckets.setdefault(request.bucket, Bucket())
            return Answer(200)
        encoding = request.headers.get("content-encoding", "")
        kept = {"Content-Encoding": encoding} if encoding else {}
        stored = make_object(bytes(request.body), headers=kept)
        if "x-without-hash" in request.headers:
            stored.checksums.clear()
        self.store.find(request.bucket).put(request.key, stored)
        return Answer(200)

    def write_error(self, request: Request, error: S3Error, headers: dict[str, str]) -> Answer:
        known, reason, message = REASONS.get(error.code, (error.status, "invalid", error.message))
        status = error.status if request.fault is not None and error.code != "ExpiredToken" else known
        answer = answer_json({"error": {"code": status, "message": message, "errors": [{"reason": reason}]}}, status)
        if request.operation == "GetObject" and error.code == "NoSuchKey":
            answer = Answer(status, {"Content-Type": "text/html; charset=UTF-8"}, message.encode())
        answer.headers |= headers
        return answer
