"""Addresses of object storage and the three wildcards of an import. Keys are never normalised (Unicode, ``.``, ``//``).

The address of a bucket is its scheme and name: ``gs://NAME``, and ``s3://NAME`` and ``az://NAME``, which are an
addition of this server for the buckets that its settings name. What an address is reached with is settings' business
(``bucket_places``): ``gs://NAME`` may be a directory, or a bucket of any provider.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from gantry.errors import InvalidArgument
from gantry.languages import N_

_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,220}[a-z0-9])?")
_EXTENSION = re.compile(r"(?:\.[^./*?]+)*")
_SCHEMES = ("gs", "s3", "az")
MAX_KEY_BYTES = 1024
"""The limit of Cloud Storage and of S3 for object names. Azure counts characters ("Naming and referencing containers,
blobs, and metadata")."""


class BucketKind(Enum):
    """What the settings make of the address of a bucket."""

    DIRECTORY = N_("a directory below that of the buckets")
    REMOTE = N_("a bucket of a provider of object storage")
    UNKNOWN = N_("the settings name no such bucket")


@dataclass(frozen=True, slots=True)
class StorageUri:
    """An address in object storage: ``bucket`` is the address of the bucket, ``gs://NAME``; ``key`` is empty for the
    bucket itself."""

    bucket: str
    key: str = ""

    @classmethod
    def parse(cls, text: str) -> StorageUri:
        """Split ``gs://NAME[/KEY]``. Raises InvalidArgument for other schemes and impossible bucket names."""
        scheme, separator, rest = text.partition("://")
        if not separator or scheme not in _SCHEMES:
            raise InvalidArgument(f"{text!r} is not a Cloud Storage address: write gs://BUCKET/OBJECT")
        name, _, key = rest.partition("/")
        if "*" in name or "?" in name:
            raise InvalidArgument(f"{text!r}: wildcards are allowed in the object name only, not in the bucket name")
        if not is_bucket_name(name):
            raise InvalidArgument(
                f"{text!r}: {name!r} is not a bucket name (lower-case letters, digits, '-', '_' and '.')"
            )
        if not is_text(key):
            raise InvalidArgument("the object name is not valid Unicode text")
        if "\0" in key:
            raise InvalidArgument(f"{text!r}: an object name cannot hold a NUL character")
        return cls(f"{scheme}://{name}", key)

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key}"


def address_of_bucket(text: str) -> str:
    """The address of a bucket that may be given by its name alone, which is one of ``gs://``."""
    return text if "://" in text else f"gs://{text}"


def parse_bucket(text: str) -> str:
    """The address of a bucket, given as such or by its name. Raises InvalidArgument for everything else."""
    parsed = StorageUri.parse(address_of_bucket(text))
    if parsed.bucket != address_of_bucket(text):
        raise InvalidArgument(f"{text[:100]!r} is not the name of a bucket")
    return parsed.bucket


def name_of_bucket(address: str) -> str:
    """The shortest text that ``address_of_bucket`` takes for this address."""
    return address.removeprefix("gs://")


def is_bucket_name(text: str) -> bool:
    return _BUCKET.fullmatch(text) is not None and ".." not in text


def measure_key(key: str, counts_characters: bool) -> int:
    """The length of an object name, as its provider counts it."""
    return len(key) if counts_characters else len(key.encode())


def is_text(text: str) -> bool:
    """Whether it has a form in UTF-8: names of files may have none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_prefix(text: str) -> StorageUri:
    """Destination of an export: a bucket or a directory, its key empty or ending in ``/``; no wildcards."""
    uri = StorageUri.parse(text)
    if "*" in uri.key or "?" in uri.key:
        raise InvalidArgument(f"{text!r}: a destination cannot hold wildcards")
    if uri.key and not uri.key.endswith("/"):
        uri = StorageUri(uri.bucket, uri.key + "/")
    return uri


@dataclass(frozen=True)
class UriPattern:
    """Source of an import. ``*``: no separator; ``?``: one character, no separator; ``**``: anything, at the end.

    ``**`` may be followed by a file name extension (``.dcm``, ``.tar.gz``) and excludes every other wildcard.
    """

    bucket: str
    pattern: str

    @classmethod
    def parse(cls, text: str) -> UriPattern:
        """Parse ``gs://NAME/PATTERN``. Raises InvalidArgument."""
        uri = StorageUri.parse(text)
        if not uri.key:
            raise InvalidArgument(f"{text!r} names no object: use {uri.bucket}/** to import the whole bucket")
        counts_characters = uri.bucket.startswith("az://")
        if measure_key(uri.key, counts_characters) > MAX_KEY_BYTES:
            unit = "characters" if counts_characters else "bytes"
            raise InvalidArgument(f"the object name is longer than {MAX_KEY_BYTES} {unit}")
        if "**" in uri.key:
            head, tail = uri.key.split("**", 1)
            if "*" in head or "?" in head or not _EXTENSION.fullmatch(tail):
                raise InvalidArgument(
                    f"{text!r}: ** must stand at the end of the path, with no other wildcard; "
                    "only a file name extension such as .dcm may follow it"
                )
        return cls(uri.bucket, uri.key)

    @property
    def has_wildcard(self) -> bool:
        return "*" in self.pattern or "?" in self.pattern

    @cached_property
    def prefix(self) -> str:
        """The literal text before the first wildcard: the prefix of the listing."""
        return re.split(r"[*?]", self.pattern, maxsplit=1)[0]

    @property
    def depth(self) -> int | None:
        """The number of separators in every match; None when it is not fixed."""
        return None if "**" in self.pattern else self.pattern.count("/")

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        star, single = (".*", "") if "**" in self.pattern else ("[^/]*", "[^/]")
        head, *rest = (
            single.join(re.escape(text) for text in part.split("?")) for part in re.split(r"\*+", self.pattern)
        )
        if not rest:
            return re.compile(head, re.DOTALL)
        # Each piece can be matched at its first occurrence, because the next star matches the rest. Atomic groups keep
        # the time linear; plain stars would try every combination.
        middle = "".join(f"(?>{star}?{piece})" for piece in rest[:-1])
        return re.compile(head + middle + star + rest[-1], re.DOTALL)

    def matches(self, key: str) -> bool:
        return self._regex.fullmatch(key) is not None

    def __str__(self) -> str:
        return f"{self.bucket}/{self.pattern}"
