"""The XML of S3: written as bytes, because a key may be any bytes; read into names without their namespace."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote_plus
from xml.etree import ElementTree

HEADER = b'<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
SPECIAL = re.compile(rb"[\x00-\x1f\x7f&<>\"]")
NAMED = {b"&": b"&amp;", b"<": b"&lt;", b">": b"&gt;", b'"': b"&quot;"}


def escape_text(value: bytes | str) -> bytes:
    """As text of an element. Control characters become references, as S3 writes them (XML 1.1 §2.2)."""
    raw = value.encode() if isinstance(value, str) else value
    return SPECIAL.sub(lambda found: NAMED.get(found[0], b"&#x%x;" % found[0][0]), raw)


def quote_key(key: bytes) -> bytes:
    """A key as ``encoding-type=url`` writes it: a space is ``+``, a slash stays."""
    return quote_plus(key, safe="/*").replace("~", "%7E").encode()


def write_element(name: str, *content: bytes | str) -> bytes:
    """Text content is escaped, bytes are XML already."""
    inner = b"".join(escape_text(part) if isinstance(part, str) else part for part in content)
    return b"<%b>%b</%b>" % (name.encode(), inner, name.encode())


def write_document(name: str, *content: bytes, namespace: bytes = NAMESPACE) -> bytes:
    tag = name.encode()
    return HEADER + b"<%b%b>%b</%b>" % (tag, namespace, b"".join(content), tag)


class MalformedXML(ValueError):
    """The body is no XML, or not the document that the request needs."""


def read_children(body: bytes, root: str, child: str) -> Iterator[dict[str, str]]:
    """The text of what is in each ``child`` of the ``root``, by name; raises `MalformedXML`."""
    for element in _read_root(body, root):
        if _name(element) == child:
            yield {_name(part): part.text or "" for part in element}


def read_text(body: bytes, root: str, child: str) -> str:
    """The text of the first ``child`` of the ``root``, or nothing; raises `MalformedXML`."""
    return next((part.text or "" for part in _read_root(body, root) if _name(part) == child), "")


def read_texts(body: bytes, root: str) -> list[str]:
    """The text of each child of the ``root``; raises `MalformedXML`."""
    return [part.text or "" for part in _read_root(body, root)]


def _read_root(body: bytes, name: str) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(body)  # noqa: S314  only clients of the tests send it
    except ElementTree.ParseError as error:
        raise MalformedXML from error
    if _name(root) != name:
        raise MalformedXML
    return root


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
