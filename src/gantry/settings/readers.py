"""Readers of settings: text of flags and of the environment, or values of the TOML file → values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gantry.access.addresses import is_safe, split_http
from gantry.api import effects
from gantry.engines.addresses import WANTED, is_executor
from gantry.errors import InvalidArgument
from gantry.iam.policies import check_member
from gantry.notifications.topics import TopicRule
from gantry.resources import BlobStorageClass
from gantry.settings.setting import Reader
from gantry.storage.bigquery.places import BigQueryPlace
from gantry.storage.bucket_rules import BucketRule
from gantry.storage.remote_buckets import RemoteBuckets, require_effect
from gantry.storage.uris import StorageUri
from gantry.table_address import parse_dataset

_MOST_SHOWN = 100  # characters of what is wrong
_NUMBER = re.compile(r"0|[1-9][0-9]{0,11}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_LOCATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_TRUTH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def number(least: int, most: int) -> Reader:
    """A whole number in decimal digits: no sign, no spaces, no ``1_0``."""

    def read(value: Any) -> int:
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            value = int(value)
        if type(value) is not int or not least <= value <= most:
            raise ValueError
        return value

    return Reader(f"a whole number from {least} to {most}", read, "N")


def choice(*words: str) -> Reader:
    def read(value: Any) -> str:
        if value not in words:
            raise ValueError
        return str(value)

    return Reader(" or ".join(words), read, "HOW")


def list_of(wanted: str, check: Callable[[str], object], least: int = 0, metavar: str = "LIST") -> Reader:
    """A list, or text with commas; blank text is the empty list. ``check`` raises or returns False for a wrong part."""

    def read(value: Any) -> tuple[str, ...]:
        parts = (value.split(",") if value.strip() else []) if isinstance(value, str) else value
        if not isinstance(parts, list):
            raise TypeError
        values = tuple(part.strip() for part in parts)
        if len(values) < least or any(not part or check(part) is False for part in values):
            raise ValueError
        return values

    return Reader(wanted, read, metavar)


def text_that(wanted: str, holds: Callable[[str], object], metavar: str) -> Reader:
    """Text for which ``holds`` is true; it may also raise ValueError."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or not holds(value):
            raise ValueError
        return value

    return Reader(wanted, read, metavar)


def _read_truth(value: Any) -> bool:
    if (truth := _TRUTH.get(str(value).lower())) is None:
        raise ValueError
    return truth


def _is_path(text: str) -> bool:
    return "\0" not in text


def _is_database(text: str) -> bool:
    """A port that is no number raises ValueError."""
    parts = urlsplit(text)
    is_address = parts.scheme == "postgresql" and parts.path.strip("/") != "" and text.isprintable()
    return text == "sqlite" or (is_address and parts.port != 0)


def _is_host(text: str) -> bool:
    """``""`` means all addresses of this machine. Raises ValueError."""
    return not text or _HOST.fullmatch(text) is not None or bool(str(ip_address(text)))


def _is_base(url: str) -> bool:
    """Without a path: some clients, such as Google's for Node, drop it."""
    parts = split_http(url)
    return not url or (parts is not None and parts.path in ("", "/") and not _has_query(url))


def _is_issuer(url: str) -> bool:
    """Without query and fragment (OIDC Discovery §3)."""
    return not url or (is_safe(url) and not _has_query(url))


_ORIGIN_HOST = re.compile(r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]+)?")  # other letters arrive as xn--…


def _is_origin(text: str) -> bool:
    """As browsers write them (RFC 6454 §6.1): in lower case, without a path, without the port that is the default."""
    if text == "*":
        return True
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return (
        default is not None
        and port != default
        and port != 0
        and _ORIGIN_HOST.fullmatch(parts.netloc) is not None
        and text == f"{parts.scheme}://{parts.netloc}" == text.lower()
    )


def _has_query(url: str) -> bool:
    return "?" in url or "#" in url


def _read_roles(value: Any) -> dict[str, tuple[str, ...]]:
    if not all(isinstance(held, list) and all(isinstance(each, str) for each in held) for held in value.values()):
        raise TypeError
    return {role: tuple(held) for role, held in value.items()}


def _read_directories(value: Any) -> dict[str, str]:
    """Storage class → absolute directory."""
    pairs: Sequence[Any]
    pairs = [part.split("=", 1) for part in value.split(",") if part] if isinstance(value, str) else [*value.items()]
    directories = {}
    for storage_class, directory in pairs:
        if storage_class not in list(BlobStorageClass) or not isinstance(directory, str) or not directory:
            raise ValueError
        directories[storage_class] = str(Path(directory).absolute())
    return directories


def _read_tables(value: Any) -> dict[str, str]:
    """``PROJECT`` or ``PROJECT.DATASET`` → absolute directory, without what means a pattern to readers of files."""
    pairs: Sequence[Any]
    pairs = [part.split("=", 1) for part in value.split(",") if part] if isinstance(value, str) else [*value.items()]
    found: dict[str, str] = {}
    for name, directory in pairs:
        project, dataset = parse_dataset(name)
        if not isinstance(directory, str) or not directory or set(directory) & set("*?[]{}") or "\0" in directory:
            raise ValueError
        found[f"{project}.{dataset}" if dataset else project] = str(Path(directory).absolute())
    if len(set(found.values())) != len(pairs):
        raise ValueError  # tables of the same name would be one
    return found


def _read_rules(value: Any) -> tuple[BucketRule, ...]:
    """Raises InvalidArgument, which names the rule."""
    if not isinstance(value, list):
        raise TypeError
    return tuple(map(BucketRule.parse, value))


def _read_remote_buckets(value: Any) -> tuple[RemoteBuckets, ...]:
    """Raises InvalidArgument, which names the entry."""
    if not isinstance(value, list):  # it is not shown: it may hold a secret
        raise InvalidArgument("remote_buckets: is not a list of tables in the settings file: write [[remote_buckets]]")
    entries = tuple(map(RemoteBuckets.parse, value))
    require_effect(entries)
    return entries


_PREFIX = re.compile(r"(?:[A-Za-z0-9._=-]{1,100}(?:/|$)){0,8}")


def _is_blob_address(text: str) -> bool:
    """The address of a bucket, with a prefix that every provider and every tool takes as it is."""
    if not text:
        return True
    try:
        key = StorageUri.parse(text).key
    except InvalidArgument:
        return False
    return bool(_PREFIX.fullmatch(key)) and not {".", ".."} & set(key.split("/"))


def _read_tiers(value: Any) -> dict[str, str]:
    """Storage class → tier of the provider. Raises InvalidArgument, which names the class."""
    pairs = [part.split("=", 1) for part in value.split(",") if part] if isinstance(value, str) else [*value.items()]
    tiers = dict(pairs)
    for each, tier in pairs:
        if each not in list(BlobStorageClass):
            known = ", ".join(BlobStorageClass)
            raise InvalidArgument(f"storage_tiers: {each[:_MOST_SHOWN]!r} is no storage class; these are {known}")
        if not isinstance(tier, str) or not tier:
            raise InvalidArgument(
                f"storage_tiers: {each} needs the name of a tier in quotes, not {tier!r:.{_MOST_SHOWN}}"
            )
    return tiers


def _is_member(text: str) -> bool:
    try:
        check_member(text)
    except InvalidArgument:
        return False
    return True


TRUTH = Reader("true or false", _read_truth)
TEXT = text_that("text of one line", lambda text: text.isprintable(), "TEXT")
CLAIM = text_that("the name of a claim", lambda text: text and text.isprintable(), "NAME")
FILE = text_that("the path of a file", _is_path, "FILE")
DIRECTORY = text_that("the path of a directory", _is_path, "DIR")
SOME_DIRECTORY = text_that("the path of a directory", lambda text: text.strip() and _is_path(text), "DIR")
DATABASE = text_that(
    "sqlite or the address of a database, like postgresql://gantry@db.example.org/gantry", _is_database, "ADDRESS"
)
EXECUTOR = text_that(WANTED, is_executor, "WHERE")
HOST = text_that("an IP address or the name of a host", _is_host, "ADDRESS")
BASE_URL = text_that("an http or https address without a path, like https://dicom.example.org", _is_base, "URL")
ISSUER = text_that("an https address without a query, like https://login.example.org/realms/r", _is_issuer, "URL")
SAFE_URL = text_that("an https address", lambda url: not url or is_safe(url), "URL")
ORIGINS = list_of("a list of origins, like https://viewer.example.org, or *", _is_origin, metavar="ORIGINS")
NETWORKS = list_of("a list of addresses or networks, like 10.0.0.0/8", ip_network)
LOCATIONS = list_of("a list of names made of letters, digits, - and _", lambda text: bool(_LOCATION.fullmatch(text)), 1)
_KINDS = "user:EMAIL, serviceAccount:EMAIL, group:NAME or domain:DOMAIN"
MEMBERS = list_of(f"a list of members, each {_KINDS}", _is_member, metavar="MEMBERS")


def _list_of_tables(parse: Callable[[Any], object]) -> Reader:
    """``parse`` raises InvalidArgument, which names the fault."""

    def read(value: Any) -> tuple[object, ...]:
        entries = json.loads(value) if isinstance(value, str) else value
        if not isinstance(entries, list):
            raise TypeError
        return tuple(map(parse, entries))

    return Reader("a list of tables; in the environment as JSON", read)


ROLES = Reader("a table of roles, each with a list of permissions, in the settings file", _read_roles)
RULES = Reader("a list of tables in the settings file", _read_rules)
REMOTE_BUCKETS = Reader("a list of tables in the settings file", _read_remote_buckets)
BIGQUERY_PROJECTS = _list_of_tables(BigQueryPlace.parse)
TOPICS = _list_of_tables(TopicRule.parse)
BLOBS = text_that(
    "the address of a bucket, s3://NAME, or of a part of one, s3://NAME/PREFIX, with a prefix of letters, digits, "
    "-, _, = and . between single slashes",
    _is_blob_address,
    "ADDRESS",
)
TIERS = Reader(f"a table, or CLASS=TIER,…, with classes of {', '.join(BlobStorageClass)}", _read_tiers, "LIST")
DIRECTORIES = Reader(
    f"a table, or CLASS=DIRECTORY,…, with classes of {', '.join(BlobStorageClass)}", _read_directories, "LIST"
)
TABLES = Reader(
    "a table, or PROJECT.DATASET=DIRECTORY,…, with projects or datasets of BigQuery, and for each a directory of its "
    "own whose path has none of *?[]{}",
    _read_tables,
    "LIST",
)


def _read_without_effect(value: Any) -> tuple[str, ...]:
    return effects.read_names(_NAMES.read(value))


_NAMES = list_of("a list of names", bool)
WITHOUT_EFFECT = Reader(f"a list of names out of {', '.join(effects.WITHOUT_EFFECT)}", _read_without_effect, "LIST")
