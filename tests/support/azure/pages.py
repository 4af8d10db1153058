"""List Blobs: a page of S3 in the XML of Azure."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import quote

from tests.support.s3.listing import Page, make_page
from tests.support.s3.messages import Answer, Request, answer_xml
from tests.support.s3.store import Store, StoredObject
from tests.support.s3.xml import escape_text, write_document, write_element

RENAMED = {"maxresults": "max-keys", "marker": "continuation-token"}
UNWRITABLE = re.compile("[\x00-\x1f\ufffe\uffff]")


def list_blobs(store: Store, request: Request) -> Answer:
    bucket = store.find(request.bucket)
    asked = replace(request, query={RENAMED.get(name, name): text for name, text in request.query.items()})
    page = make_page(bucket, asked)
    if request.fault is not None:
        page = request.fault.distort_page(page, asked, lambda changed: make_page(bucket, changed))
    return answer_xml(_write_page(page))


def _write_page(page: Page) -> bytes:
    blobs = [write_element("Blob", _write_name(key), _write_about(stored)) for key, stored in page.contents]
    blobs += [write_element("BlobPrefix", _write_name(prefix)) for prefix in page.prefixes]
    marker = write_element("NextMarker", page.token or "")
    return write_document("EnumerationResults", write_element("Blobs", *blobs), marker, namespace=b"")


def _write_name(key: bytes) -> bytes:
    """Since version 2021-02-12 names that XML cannot hold are escaped, and say so."""
    text = key.decode()
    if UNWRITABLE.search(text):
        return b'<Name Encoded="true">%b</Name>' % quote(text, safe="/").encode()
    return b"<Name>%b</Name>" % escape_text(key)


def _write_about(stored: StoredObject) -> bytes:
    about = {
        "Etag": stored.etag.strip('"'),
        "Content-Length": str(len(stored.data)),
        "AccessTier": stored.storage_class,
    }
    if stored.headers.get("x-ms-meta-is_directory"):
        about["ResourceType"] = "directory"
    found = write_element("Properties", *(write_element(name, text) for name, text in about.items()))
    metadata = [
        write_element(name.removeprefix("x-ms-meta-"), text)
        for name, text in stored.headers.items()
        if name.startswith("x-ms-meta-")
    ]
    return found + write_element("Metadata", *metadata)
