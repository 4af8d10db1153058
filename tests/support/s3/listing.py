"""ListObjectsV2: one page of the keys of a bucket."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

from tests.support.s3.errors import S3Error
from tests.support.s3.messages import Answer, Request, answer_xml
from tests.support.s3.store import Bucket, Store, StoredObject
from tests.support.s3.xml import escape_text, quote_key, write_document, write_element

MAX_KEYS = 1000
KEY, PREFIX = b"k", b"p"


@dataclass
class Page:
    """``token`` is where the next page begins; None after the last one. Without ``has_token`` it is kept secret."""

    contents: list[tuple[bytes, StoredObject]] = field(default_factory=list)
    prefixes: list[bytes] = field(default_factory=list)
    token: str | None = None
    has_token: bool = True


def list_objects(store: Store, request: Request) -> Answer:
    bucket = store.find(request.bucket)
    page = make_page(bucket, request)
    if request.fault is not None:
        page = request.fault.distort_page(page, request, lambda changed: make_page(bucket, changed))
    return answer_xml(_write_page(page, request))


def make_page(bucket: Bucket, request: Request) -> Page:
    """Raises InvalidArgument. A prefix in common is in the page if any of its keys is after ``start-after``."""
    prefix, delimiter, limit = request.read_query("prefix"), request.read_query("delimiter"), read_limit(request)
    page, keys, last = Page(), bucket.keys, b""
    at = max(_find_start(keys, request), bisect_left(keys, prefix))
    while limit and at < len(keys) and keys[at].startswith(prefix):
        if len(page.contents) + len(page.prefixes) == limit:
            page.token = urlsafe_b64encode(last).decode()
            break
        key = keys[at]
        found = key.find(delimiter, len(prefix)) if delimiter else -1
        if found < 0:
            page.contents.append((key, bucket.objects[key]))
            last, at = KEY + key, at + 1
        else:
            common = key[: found + len(delimiter)]
            page.prefixes.append(common)
            last, at = PREFIX + common, _find_end(keys, common)
    return page


def read_limit(request: Request, name: str = "max-keys") -> int:
    text = request.query.get(name, str(MAX_KEYS))
    if not (text.isascii() and text.isdigit()):
        raise S3Error("InvalidArgument", f"Provided {name} not an integer or within integer range")
    return min(int(text), MAX_KEYS)


def _find_start(keys: list[bytes], request: Request) -> int:
    """A token is stronger than ``start-after``, as clients send both."""
    if "continuation-token" not in request.query:
        after = request.read_query("start-after")
        return bisect_right(keys, after) if after else 0
    try:
        last = urlsafe_b64decode(request.read_query("continuation-token"))
    except ValueError:
        last = b""
    if last[:1] not in (KEY, PREFIX):
        raise S3Error("InvalidArgument", "The continuation token provided is incorrect")
    return bisect_right(keys, last[1:]) if last[:1] == KEY else _find_end(keys, last[1:])


def _find_end(keys: list[bytes], prefix: bytes) -> int:
    """Where the keys end that begin with the prefix."""
    short = prefix.rstrip(b"\xff")
    return bisect_left(keys, short[:-1] + bytes([short[-1] + 1])) if short else len(keys)


def _write_page(page: Page, request: Request) -> bytes:
    url = request.query.get("encoding-type") == "url"
    write = quote_key if url else escape_text
    head = {"Name": escape_text(request.bucket), "Prefix": write(request.read_query("prefix"))}
    for name, element in (("delimiter", "Delimiter"), ("start-after", "StartAfter")):
        if name in request.query:
            head[element] = write(request.read_query(name))
    head |= {"MaxKeys": b"%d" % read_limit(request), "KeyCount": b"%d" % (len(page.contents) + len(page.prefixes))}
    head["IsTruncated"] = b"false" if page.token is None else b"true"
    if url:
        head["EncodingType"] = b"url"
    if "continuation-token" in request.query:
        head["ContinuationToken"] = escape_text(request.read_query("continuation-token"))
    if page.token is not None and page.has_token:
        head["NextContinuationToken"] = page.token.encode()
    parts = [write_element(name, value) for name, value in head.items()]
    parts += [b"<Contents><Key>%b</Key>%b</Contents>" % (write(key), stored.entry) for key, stored in page.contents]
    parts += [b"<CommonPrefixes><Prefix>%b</Prefix></CommonPrefixes>" % write(prefix) for prefix in page.prefixes]
    return write_document("ListBucketResult", *parts)
