"""Keys: how they sort, which have a problem, and which the fast client can name.

A key that is not UTF-8 is text with surrogates, as in ``os.fsdecode``: it sorts where its bytes do, and is no other
key. No request can name it.
"""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes

from gantry.resources import ObjectMeta
from gantry.storage.uris import is_text

_UNNAMEABLE = re.compile(r"[\x00-\x1f\x7f]|(?:\A|/)(?:\.{1,2})?(?:/|\Z)")
"""What obstore refuses or changes: control characters, and segments that are empty, ``.`` or ``..``. It drops ``/`` at
both ends of a key without a word, and would so read another object."""

_SURROGATE = re.compile("[\ud800-\udfff]")


def is_nameable(key: str) -> bool:
    return _UNNAMEABLE.search(key) is None


def encode_key(key: str) -> bytes:
    """The bytes of a key. Raises UnicodeEncodeError for what is none."""
    return key.encode("utf-8", "surrogateescape")


def decode_key(key: bytes) -> str:
    return key.decode("utf-8", "surrogateescape")


def is_listable(text: str) -> bool:
    """Whether a listing may have such a key, in UTF-8 or not."""
    try:
        encode_key(text)
    except UnicodeEncodeError:
        return False
    return True


def find_text(key: str) -> str:
    """The longest part of a key, from its beginning, that a request can name: it sorts before the key, or is it."""
    return _SURROGATE.split(key, maxsplit=1)[0]


def with_problem(found: ObjectMeta) -> ObjectMeta:
    """An entry of a listing that says so where its key is not UTF-8."""
    if is_text(found.key):
        return found
    name = quote_from_bytes(encode_key(found.key), safe="/ ")
    return found._replace(problem=f"the object's name is not UTF-8 ({name}); rename it")
