"""``gantry storage rebuild``: the rows of an index that is lost, made again from the stored instances."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from gantry.client.messages import translate_message
from gantry.client.terminal import note, say
from gantry.config import DataDirectory, open_seams, read_store_names
from gantry.errors import InvalidArgument, NotFound, StatusError
from gantry.index_wiring import INDEX, IndexPlace
from gantry.languages import _
from gantry.names import DicomStoreName, parse_dicom_store_name
from gantry.operations import rebuild as service
from gantry.operations.sweeper import sweep_garbage
from gantry.settings.loading import load_settings
from gantry.sizes import format_number

_NOTE_SECONDS = 5


def rebuild(args: argparse.Namespace) -> int:
    """Take up every instance that has no row. 1 where some could not be taken up. Raises FailedPrecondition while a
    server uses the directory."""
    flags = {"data": args.data} if args.data else {}
    settings = load_settings(flags, os.environ, args.config or os.environ.get("GANTRY_CONFIG", ""))
    data = Path(settings.data).absolute()
    if not settings.blobs and not (data / "blobs").is_dir():
        advice = _("name the directory of a server with --data")
        raise NotFound(_("{path} holds no blobs").format(path=data), advice=advice)
    IndexPlace(data, settings.database).require()
    given = _read_names(args.store or ())
    with closing(DataDirectory(settings, rebuilding=True)) as directory:
        _move_leftovers_away(data)
        names = {**read_store_names(directory), **given}
        seams = open_seams(settings, directory)
        try:
            sweep_garbage(seams)  # what was deleted must not be taken up again
            summary = service.rebuild(seams, names, _make_progress())
            seams.index.restoration.end()
        finally:
            seams.executor.end()
            seams.pixels.end()
            seams.index.close()
    _print(summary, args.json)
    return 0 if summary.is_whole else 1


def _read_names(pairs: Sequence[str]) -> dict[int, DicomStoreName]:
    """``NUMBER=NAME`` each. Raises InvalidArgument."""
    found = {}
    for pair in pairs:
        number, _separator, name = pair.partition("=")
        try:
            found[int(number)] = parse_dicom_store_name(name)
        except (ValueError, StatusError):
            advice = _("write it like {example}").format(
                example="--store 3=projects/p/locations/us-central1/datasets/d/dicomStores/s"
            )
            problem = _("--store {pair}: is not NUMBER=NAME").format(pair=pair[:200])
            raise InvalidArgument(problem, advice=advice) from None
    return found


def _move_leftovers_away(data: Path) -> None:
    """Of an index that is gone: SQLite would take them for parts of the new one."""
    if not (data / INDEX).exists():
        for ending in ("-wal", "-shm"):
            path = data / f"{INDEX}{ending}"
            if path.exists():
                path.replace(path.with_name(f"{path.name}.lost"))


def _make_progress() -> Callable[[service.Summary], None]:
    last = time.monotonic()

    def progress(summary: service.Summary) -> None:
        nonlocal last
        if time.monotonic() - last >= _NOTE_SECONDS:
            last = time.monotonic()
            restored, known = (sum(getattr(each, name) for each in summary.stores) for name in ("restored", "known"))
            text = _("instances that have rows again: {restored}, that had one: {known}; store {store}")
            numbers = {"restored": format_number(restored), "known": format_number(known)}
            note(text.format(store=summary.stores[-1].name, **numbers))

    return progress


def _print(summary: service.Summary, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(summary), indent=2))
        return
    for each in summary.stores:
        text = _(
            "{store}: {restored} instances have rows again, {known} had one, {freed} were deleted, {duplicates} are "
            "there twice, {unreadable} cannot be read"
        )
        counts = ("restored", "known", "freed", "duplicates", "unreadable")
        numbers = {name: format_number(getattr(each, name)) for name in counts}
        say(text.format(store=each.name or _("(store {number})").format(number=each.store_id), **numbers))
        if each.problem:
            text = _("store {number} is left as it is: {reason}")
            note(text.format(number=each.store_id, reason=translate_message(each.problem)))
    for key, reason in summary.not_restored:
        note(f"{key}: {translate_message(reason)}")
