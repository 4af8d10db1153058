"""Pages of a listing of Blob Storage."""

from __future__ import annotations

from urllib.parse import unquote
from xml.etree import ElementTree

from gantry.errors import Unavailable
from gantry.resources import ObjectMeta
from gantry.storage.remote.provider import Page


def parse_page(body: bytes) -> Page:
    """Raises ElementTree.ParseError for what is no XML: the answer was cut off. Raises Unavailable for another
    answer."""
    root = ElementTree.fromstring(body)  # noqa: S314 - expat bounds the growth of entities
    if root.tag != "EnumerationResults":
        raise Unavailable("what came is no page of a listing", advice="try again")
    blobs = root.find("Blobs")
    entries = blobs if blobs is not None else ()
    objects = [_read_blob(each) for each in entries if each.tag == "Blob" and not _is_folder(each)]
    folders = [_read_name(each) for each in entries if each.tag == "BlobPrefix"]
    return Page(objects, folders, root.findtext("NextMarker") or "")


def _read_blob(blob: ElementTree.Element) -> ObjectMeta:
    about = blob.find("Properties")
    if about is None:
        raise Unavailable("a page of the listing does not say what the objects are", advice="try again")
    length, tier = about.findtext("Content-Length") or "0", about.findtext("AccessTier") or ""
    if not (length.isascii() and length.isdecimal()):
        raise Unavailable("a page of the listing does not say how long an object is", advice="try again")
    size = int(length)
    return ObjectMeta(_read_name(blob), size, "", write_tag(about.findtext("Etag") or ""), tier)


def _read_name(entry: ElementTree.Element) -> str:
    """A name that XML cannot hold is escaped as in an address."""
    name = entry.find("Name")
    if name is None or not name.text:
        raise Unavailable("a page of the listing has an object without a name", advice="try again")
    return unquote(name.text) if name.get("Encoded") == "true" else name.text


def _is_folder(blob: ElementTree.Element) -> bool:
    """With a hierarchical namespace folders are listed among the blobs; without one, programs of Hadoop write such."""
    if blob.findtext("Properties/ResourceType") == "directory":
        return True
    return (blob.findtext("Metadata/hdi_isfolder") or "").lower() == "true"


def write_tag(text: str) -> str:
    """An ETag with quotes, as headers have it; listings leave them out."""
    return f'"{text}"' if text and not text.endswith('"') else text
