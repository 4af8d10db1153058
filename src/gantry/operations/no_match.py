"""The message for an import whose pattern matches no object: what exists instead, and what to write."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import islice

from gantry.errors import Cancelled, StatusError
from gantry.ingest import make_printable
from gantry.operations.interruption import go_on
from gantry.seams import BlobStore
from gantry.storage.uris import UriPattern
from gantry.worker_calls import Check

MOST_KEYS = 1000
"""How many objects are listed: the message must not take long."""

_MOST_KINDS = 5  # file name extensions in the message
_EXTENSION = re.compile(r"\.[^./]{1,10}")
_WITHOUT = "without an extension"


def describe_source(source: BlobStore, pattern: UriPattern, check: Check = go_on) -> str:
    """A sentence about the objects that begin like the pattern; only the first MOST_KEYS are counted."""
    prefix = pattern.prefix if pattern.has_wildcard else f"{pattern.prefix.rstrip('/')}/"
    below = f"{pattern.bucket}/{make_printable(prefix)}"
    try:
        keys = [entry.key for entry in islice(source.list(prefix, check=check), MOST_KEYS)]
    except Cancelled:
        raise
    except StatusError as error:
        if error.waits_for is not None:
            raise
        keys = []
    if not keys:
        return f"nothing begins with {below}" if pattern.has_wildcard else "there is no object of this name"
    return f"{_describe_count(len(keys))} with {below} ({_describe_kinds(keys)}); write {below}** to import them all"


def _describe_count(count: int) -> str:
    if count == 1:
        return "1 object begins"
    return f"{MOST_KEYS:,} or more objects begin" if count == MOST_KEYS else f"{count} objects begin"


def _describe_kinds(keys: Iterable[str]) -> str:
    """``.DCM: 12, without an extension: 3``, the most frequent first."""
    counts = Counter(_kind_of(key) for key in keys)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{make_printable(kind)}: {count}" for kind, count in ordered[:_MOST_KINDS]]
    return ", ".join(shown + ["…"] * (len(counts) > _MOST_KINDS))


def _kind_of(key: str) -> str:
    """The file name extension. One of digits alone is not an extension but a component of a UID."""
    name = key.rpartition("/")[2]
    stem, dot, extension = name.rpartition(".")
    fits = stem and _EXTENSION.fullmatch(dot + extension) and not extension.isdigit()
    return dot + extension if fits else _WITHOUT
