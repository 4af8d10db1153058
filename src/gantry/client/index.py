"""``gantry index copy`` and ``gantry migrate``: the index of a server that is stopped."""

from __future__ import annotations

import argparse
import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from gantry.client.progress import LINE_EVERY
from gantry.client.terminal import note, print_error, printable, say, say_json
from gantry.config import hold_alone
from gantry.errors import FailedPrecondition, Interrupted, NotFound, StatusError
from gantry.index.copy_steps import Copied, Tell
from gantry.index.database import SCHEMA_VERSION
from gantry.index_copies import copy_index
from gantry.index_wiring import IndexPlace
from gantry.settings.loading import load_settings
from gantry.sizes import format_count

CURRENT, NEEDED, NOT_KNOWN = 0, 1, 2  # exit codes of ``migrate --check``


def copy(args: argparse.Namespace) -> int:
    """Move an index, and say what was compared. Raises the errors of ``copy_index``."""
    begun = time.monotonic()
    try:
        copied = copy_index(args.source, args.target, _make_progress())
    except Interrupted as error:
        raise Interrupted(error.what, advice="run the same command again: it goes on where it was") from None
    if args.json:
        say_json(_to_json(copied, time.monotonic() - begun))
    elif copied is None:
        say("there is nothing to do: the index was copied before")
    else:
        say(_describe(copied))
    if args.target.startswith("postgresql:"):
        note("the server needs its address now: database in the settings, or GANTRY_DATABASE")
    else:
        note("the server needs no setting database any more")
    return 0


def _make_progress() -> Tell:
    last = time.monotonic()

    def tell(what: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_EVERY:
            last = time.monotonic()
            note(f"{what}: {done:,} of {total:,} rows")

    return tell


def _count(copied: Copied) -> dict[str, int]:
    return {
        "rows": sum(each.rows for each in copied.tables.values()),
        "studies": sum(studies for studies, _ in copied.stores.values()),
        "instances": sum(instances for _, instances in copied.stores.values()),
    }


def _describe(copied: Copied) -> str:
    counts = _count(copied)
    how = "copied, some of them before" if copied.continued else "copied"
    return (
        f"{format_count(counts['rows'], 'row')} of {len(copied.tables)} tables are {how} and agree: "
        f"{format_count(counts['studies'], 'study')} with "
        f"{format_count(counts['instances'], 'instance')} in {format_count(len(copied.stores), 'store')}"
    )


def _to_json(copied: Copied | None, seconds: float) -> dict[str, Any]:
    if copied is None:
        return {"copied": False}
    stores = sorted(copied.stores.items())
    return {
        "copied": True,
        "continued": copied.continued,
        **_count(copied),
        "stores": [{"storeId": number, "studies": of[0], "instances": of[1]} for number, of in stores],
        "tables": {name: {"rows": each.rows, "sha256": each.checksum} for name, each in copied.tables.items()},
        "seconds": round(seconds, 1),
    }


def migrate(args: argparse.Namespace) -> int:
    """Bring the schema up to date, or with ``--check`` say whether that is needed. Raises NotFound,
    FailedPrecondition."""
    flags = {"data": args.data} if args.data else {}
    settings = load_settings(flags, os.environ, args.config or os.environ.get("GANTRY_CONFIG", ""))
    data = Path(settings.data).absolute()
    place = IndexPlace(data, settings.database)
    if args.check:
        return _check(place, args.json)
    place.require()
    # A database has a lock of its own.
    with nullcontext() if place.is_server else hold_alone(data):
        found = _read_schema(place)
        if found != SCHEMA_VERSION:
            place.open().close()
    _print(place, found, SCHEMA_VERSION, args.json)
    return 0


def _check(place: IndexPlace, as_json: bool) -> int:
    try:
        place.require()
        found = _read_schema(place)
    except StatusError as error:
        print_error(error.message)
        return NOT_KNOWN
    _print(place, found, found, as_json)
    return CURRENT if found == SCHEMA_VERSION else NEEDED


def _read_schema(place: IndexPlace) -> str:
    """Raises NotFound, FailedPrecondition."""
    if not place.is_there:
        raise NotFound(f"{place.name} is not there", advice="name the directory of a server with --data")
    found = place.read_schema()
    if found > SCHEMA_VERSION:
        raise FailedPrecondition(f"{place.name} was written by a newer version of Gantry", advice="upgrade Gantry")
    return found


def _print(place: IndexPlace, found: str, schema: str, as_json: bool) -> None:
    if as_json:
        say_json({"found": found, "schema": schema, "newest": SCHEMA_VERSION})
        return
    was = f"schema {found}" if found else "no tables"
    if schema == SCHEMA_VERSION:
        before = "" if found == schema else f"; before, it had {was}"
        say(printable(f"{place.name} has schema {schema}, that of this version{before}"))
    else:
        say(printable(f"{place.name} has {was}; this version needs {SCHEMA_VERSION}: run `gantry migrate`"))
