"""Pages of a listing of S3. botocore's own parser needs 50 µs for each key, which is most of the time of a listing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree

from gantry.errors import Unavailable
from gantry.resources import ObjectMeta
from gantry.storage.remote.names import decode_key, encode_key, with_problem
from gantry.storage.remote.provider import LAST, Page

AFTER = "\0"
"""Begins a token that is no token of the server but a key: the next page begins behind it."""
_PAGE = "GantryPage"
_EMPTY = b"<ListBucketResult/>"


def read_pages_of(client: Any) -> None:
    """From now on answers of ``list_objects_v2`` hold a ``Page``, and nothing else (``get_page``)."""
    client.meta.events.register("before-parse.s3.ListObjectsV2", _take_page)


def get_page(answer: Any) -> Page:
    page: Page = answer[_PAGE]
    return page


def _take_page(response_dict: Any, customized_response_dict: Any, **_: Any) -> None:
    if response_dict["status_code"] == 200:
        customized_response_dict[_PAGE] = parse_page(response_dict["body"])
        response_dict["body"] = _EMPTY


def parse_page(body: bytes) -> Page:
    """Raises ElementTree.ParseError for what is no XML: the answer was cut off. Raises Unavailable for another answer,
    which is no empty page: an error, or what a proxy says."""
    root = ElementTree.fromstring(body)  # noqa: S314 - expat bounds the growth of entities
    if root.tag.rpartition("}")[2] != "ListBucketResult":
        raise Unavailable("what came is no page of a listing", advice="try again")
    space = root.tag[: root.tag.index("}") + 1] if root.tag.startswith("{") else ""
    is_encoded = root.findtext(f"{space}EncodingType") == "url"

    def read(element: ElementTree.Element, name: str) -> str:
        return element.findtext(space + name) or ""

    def read_key(element: ElementTree.Element, name: str) -> str:
        return unquote_key(read(element, name)) if is_encoded else read(element, name)

    objects = [
        with_problem(
            ObjectMeta(
                read_key(each, "Key"), int(read(each, "Size") or 0), "", read(each, "ETag"), read(each, "StorageClass")
            )
        )
        for each in root.iterfind(f"{space}Contents")
    ]
    folders = [read_key(each, "Prefix") for each in root.iterfind(f"{space}CommonPrefixes")]
    if read(root, "IsTruncated") != "true":
        return Page(objects, folders)
    return Page(objects, folders, read(root, "NextContinuationToken") or _make_token(objects, folders))


def unquote_key(text: str) -> str:
    """A key. A space is "+" here (the API reference of ListObjectsV2, encoding-type)."""
    text = text.replace("+", " ")
    return decode_key(unquote_to_bytes(text)) if "%" in text else text


def _make_token(objects: Sequence[ObjectMeta], folders: Sequence[str]) -> str:
    """For servers that say that there is another page, and not how to ask for it: by the last key. Raises Unavailable
    where there is none: a listing has no silent gap."""
    ends = [*(each.key for each in objects[-1:]), *(f"{each}{LAST}" for each in folders[-1:])]
    if not ends:
        raise Unavailable("the object storage says that there is another page of the listing, and not how to get it")
    return AFTER + max(ends, key=encode_key)
