"""Pages of a listing of Cloud Storage, and the objects in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gantry.resources import ObjectMeta
from gantry.storage.remote.gcs_tags import read_tag
from gantry.storage.remote.provider import Page


def read_page(found: Mapping[str, Any]) -> Page:
    """Raises ValueError for what is no page."""
    try:
        folders = [_require_text(each) for each in found.get("prefixes", ())]
        return Page(list(map(read_object, found.get("items", ()))), folders, str(found.get("nextPageToken", "")))
    except (TypeError, AttributeError):
        raise ValueError from None


def read_object(resource: Mapping[str, Any]) -> ObjectMeta:
    """Raises ValueError for what is no object."""
    try:
        key, size = _require_text(resource["name"]), int(resource.get("size", 0))
        return ObjectMeta(key, size, "", read_tag(resource), str(resource.get("storageClass", "")))
    except (KeyError, TypeError, AttributeError):
        raise ValueError from None


def _require_text(text: str) -> str:
    """JSON can say half of a character."""
    text.encode()
    return text
