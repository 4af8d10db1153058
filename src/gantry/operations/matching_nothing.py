"""What to say of a source that matches no object: what was there instead, and what to write."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import islice

from gantry.errors import Cancelled, StatusError
from gantry.ingest import printable
from gantry.operations.interruption import go_on
from gantry.seams import BlobStore, Check
from gantry.storage.uris import UriPattern

MOST_KEYS = 1000
"""How many objects are looked at."""

_MOST_KINDS = 5
_EXTENSION = re.compile(r"\.[^./]{1,10}")
_WITHOUT = "without an extension"


def what_is_there(source: BlobStore, pattern: UriPattern, check: Check = go_on) -> str:
    """One sentence about the objects that begin as the pattern does; only the first MOST_KEYS are looked at."""
    prefix = pattern.prefix if pattern.has_wildcard else f"{pattern.prefix.rstrip('/')}/"
    below = f"gs://{pattern.bucket}/{printable(prefix)}"
    try:
        keys = [found.key for found in islice(source.list(prefix, check=check), MOST_KEYS)]
    except Cancelled:
        raise
    except StatusError:
        keys = []
    if not keys:
        return f"nothing begins with {below}" if pattern.has_wildcard else "there is no object of this name"
    return f"{_count(len(keys))} with {below} ({_kinds(keys)}); write {below}** to import them all"


def _count(count: int) -> str:
    if count == 1:
        return "1 object begins"
    return f"{MOST_KEYS:,} or more objects begin" if count == MOST_KEYS else f"{count} objects begin"


def _kinds(keys: Iterable[str]) -> str:
    """``.DCM: 12, without an extension: 3``, the most frequent first."""
    counts = Counter(_kind(key) for key in keys)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{printable(kind)}: {count}" for kind, count in ordered[:_MOST_KINDS]]
    return ", ".join(shown + ["…"] * (len(counts) > _MOST_KINDS))


def _kind(key: str) -> str:
    """The extension. What is only digits is a component of a UID."""
    name = key.rpartition("/")[2]
    stem, dot, extension = name.rpartition(".")
    fits = stem and _EXTENSION.fullmatch(dot + extension) and not extension.isdigit()
    return dot + extension if fits else _WITHOUT
