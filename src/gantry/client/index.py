"""``gantry index copy`` and ``gantry migrate``: the index of a server that is stopped."""

from __future__ import annotations

import argparse
import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from gantry.client.messages import describe_error, translate_message
from gantry.client.progress import LINE_EVERY
from gantry.client.terminal import count_instances, note, print_error, printable, say, say_json
from gantry.config import hold_alone
from gantry.errors import FailedPrecondition, Interrupted, NotFound, StatusError
from gantry.index.copy_steps import Copied, Tell
from gantry.index.database import SCHEMA_VERSION
from gantry.index_copies import copy_index
from gantry.index_wiring import IndexPlace
from gantry.languages import _, ngettext
from gantry.settings.loading import load_settings
from gantry.sizes import format_number

CURRENT, NEEDED, NOT_KNOWN = 0, 1, 2  # exit codes of ``migrate --check``


def copy(args: argparse.Namespace) -> int:
    """Move an index, and say what was compared. Raises the errors of ``copy_index``."""
    begun = time.monotonic()
    try:
        copied = copy_index(args.source, args.target, _make_progress())
    except Interrupted as error:
        advice = _("run the same command again: it goes on where it was")
        raise Interrupted(translate_message(error.what), advice=advice) from None
    if args.json:
        say_json(_to_json(copied, time.monotonic() - begun))
    elif copied is None:
        say(_("there is nothing to do: the index was copied before"))
    else:
        say(_describe(copied))
    if args.target.startswith("postgresql:"):
        note(_("the server needs its address now: database in the settings, or GANTRY_DATABASE"))
    else:
        note(_("the server needs no setting database any more"))
    return 0


def _make_progress() -> Tell:
    last = time.monotonic()

    def tell(what: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_EVERY:
            last = time.monotonic()
            text = ngettext("{what}: {done} of {total} row", "{what}: {done} of {total} rows", total)
            note(text.format(what=what, done=format_number(done), total=format_number(total)))

    return tell


def _count(copied: Copied) -> dict[str, int]:
    return {
        "rows": sum(each.rows for each in copied.tables.values()),
        "studies": sum(studies for studies, _ in copied.stores.values()),
        "instances": sum(instances for _, instances in copied.stores.values()),
    }


def _describe(copied: Copied) -> str:
    counts = _count(copied)
    if copied.continued:
        text = _("{rows} of {tables} tables are copied, some of them before, and agree: {content}")
    else:
        text = _("{rows} of {tables} tables are copied and agree: {content}")
    rows = ngettext("{count} row", "{count} rows", counts["rows"]).format(count=format_number(counts["rows"]))
    return text.format(rows=rows, tables=len(copied.tables), content=_describe_content(counts, len(copied.stores)))


def _describe_content(counts: dict[str, int], stores: int) -> str:
    studies = ngettext("{count} study", "{count} studies", counts["studies"])
    places = ngettext("{count} store", "{count} stores", stores)
    return _("{studies} with {instances} in {stores}").format(
        studies=studies.format(count=format_number(counts["studies"])),
        instances=count_instances(counts["instances"]),
        stores=places.format(count=format_number(stores)),
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
        print_error(describe_error(error))
        return NOT_KNOWN
    _print(place, found, found, as_json)
    return CURRENT if found == SCHEMA_VERSION else NEEDED


def _read_schema(place: IndexPlace) -> str:
    """Raises NotFound, FailedPrecondition."""
    if not place.is_there:
        advice = _("name the directory of a server with --data")
        raise NotFound(_("{name} is not there").format(name=place.name), advice=advice)
    found = place.read_schema()
    if found > SCHEMA_VERSION:
        problem = _("{name} was written by a newer version of Gantry")
        raise FailedPrecondition(problem.format(name=place.name), advice=_("upgrade Gantry"))
    return found


def _print(place: IndexPlace, found: str, schema: str, as_json: bool) -> None:
    if as_json:
        say_json({"found": found, "schema": schema, "newest": SCHEMA_VERSION})
        return
    was = _("schema {schema}").format(schema=found) if found else _("no tables")
    if schema != SCHEMA_VERSION:
        text = _("{name} has {was}; this version needs {newest}: run `gantry migrate`")
    elif found == schema:
        text = _("{name} has schema {schema}, that of this version")
    else:
        text = _("{name} has schema {schema}, that of this version; before, it had {was}")
    say(printable(text.format(name=place.name, schema=schema, was=was, newest=SCHEMA_VERSION)))
