"""The operations on buckets."""

from __future__ import annotations

from tests.support.s3.errors import S3Error
from tests.support.s3.messages import Answer, Request, answer_xml
from tests.support.s3.store import Bucket, Store
from tests.support.s3.xml import write_document, write_element


def list_buckets(store: Store, request: Request) -> Answer:
    names = [write_element("Bucket", write_element("Name", name)) for name in sorted(store.buckets)]
    return answer_xml(write_document("ListAllMyBucketsResult", write_element("Buckets", *names)))


def create_bucket(store: Store, request: Request) -> Answer:
    if request.bucket in store.buckets:
        raise S3Error("BucketAlreadyOwnedByYou", BucketName=request.bucket)
    store.buckets[request.bucket] = Bucket()
    return Answer(200, {"Location": f"/{request.bucket}"})


def delete_bucket(store: Store, request: Request) -> Answer:
    if store.find(request.bucket).objects:
        raise S3Error("BucketNotEmpty", BucketName=request.bucket)
    del store.buckets[request.bucket]
    return Answer(204)


def head_bucket(store: Store, request: Request) -> Answer:
    store.find(request.bucket)
    return Answer(200, {"x-amz-bucket-region": "us-east-1"})


def get_location(store: Store, request: Request) -> Answer:
    store.find(request.bucket)
    return answer_xml(write_document("LocationConstraint"))
