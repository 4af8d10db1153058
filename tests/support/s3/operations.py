"""Which operation a request asks for, by its method, its path and its query."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.s3 import buckets, listing, objects, uploads
from tests.support.s3.errors import S3Error
from tests.support.s3.messages import Answer, Request
from tests.support.s3.store import Store

Operation = Callable[[Store, Request], Answer]
OPERATIONS: dict[str, Operation] = {
    "ListBuckets": buckets.list_buckets,
    "CreateBucket": buckets.create_bucket,
    "DeleteBucket": buckets.delete_bucket,
    "HeadBucket": buckets.head_bucket,
    "GetBucketLocation": buckets.get_location,
    "ListObjectsV2": listing.list_objects,
    "ListMultipartUploads": uploads.list_uploads,
    "DeleteObjects": objects.delete_objects,
    "GetObject": objects.get_object,
    "HeadObject": objects.get_object,
    "PutObject": objects.put_object,
    "CopyObject": objects.copy_object,
    "DeleteObject": objects.delete_object,
    "CreateMultipartUpload": uploads.create_upload,
    "UploadPart": uploads.upload_part,
    "UploadPartCopy": uploads.copy_part,
    "CompleteMultipartUpload": uploads.complete_upload,
    "AbortMultipartUpload": uploads.abort_upload,
    "ListParts": uploads.list_parts,
}
# What the query has (or "") → the operation, by the method; the first that is there counts.
OF_BUCKET = {
    "GET": {"uploads": "ListMultipartUploads", "location": "GetBucketLocation", "list-type": "ListObjectsV2"},
    "HEAD": {"": "HeadBucket"},
    "PUT": {"": "CreateBucket"},
    "DELETE": {"": "DeleteBucket"},
    "POST": {"delete": "DeleteObjects"},
}
OF_OBJECT = {
    "GET": {"uploadId": "ListParts", "": "GetObject"},
    "HEAD": {"": "HeadObject"},
    "PUT": {"uploadId": "UploadPart", "": "PutObject"},
    "DELETE": {"uploadId": "AbortMultipartUpload", "": "DeleteObject"},
    "POST": {"uploads": "CreateMultipartUpload", "uploadId": "CompleteMultipartUpload"},
}
OTHERS = frozenset(
    (
        *("acl", "attributes", "cors", "encryption", "legal-hold", "lifecycle", "policy", "restore", "retention"),
        *("select", "tagging", "torrent", "versioning", "versions", "versionId"),
    )
)
"""Parts of a query that ask for what this server does not do."""
COPIES = {"PutObject": "CopyObject", "UploadPart": "UploadPartCopy"}


def name_operation(request: Request) -> str:
    """Its name in the S3 API Reference; nothing for one that is not implemented here."""
    query = request.query
    if query and not OTHERS.isdisjoint(query):
        return ""
    if not request.bucket:
        return "ListBuckets" if request.method == "GET" else ""
    choices = (OF_OBJECT if request.key else OF_BUCKET).get(request.method, {})
    name = next((name for part, name in choices.items() if not part or part in query), "")
    return COPIES.get(name, name) if "x-amz-copy-source" in request.headers else name


def run_operation(store: Store, request: Request) -> Answer:
    """Raises `S3Error`."""
    if not request.operation:
        raise S3Error("NotImplemented")
    return OPERATIONS[request.operation](store, request)
