"""``gantry storage``: how the bytes of instances lie on the disks of a server, and moving them together."""

from __future__ import annotations

import argparse
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path

from gantry.checking.directory import Checked
from gantry.checking.files import check_unnamed
from gantry.client.messages import describe_error, translate_message
from gantry.client.terminal import count_instances, note, printable, say
from gantry.config import DataDirectory, open_beside, open_checked, open_seams
from gantry.errors import Aborted, FailedPrecondition, StatusError
from gantry.index_wiring import IndexPlace
from gantry.languages import _, ngettext
from gantry.operations.compaction import compact_files, compact_segments, join_segments
from gantry.operations.sweeper import sweep_garbage
from gantry.resources import SegmentTotals
from gantry.seams import Seams, without_gaps
from gantry.settings.loading import Settings, load_settings
from gantry.sizes import format_number

Upload = tuple[str, str]
"""A key, and the name of an upload in parts."""

_UNNAMED = 20_000
"""Objects looked up at once: each look-up of objects that hold one instance reads all rows."""


def show(args: argparse.Namespace) -> int:
    """Print the segments of every store; a running server may go on meanwhile. Raises NotFound."""
    settings = _load(args)
    with closing(open_beside(_require_data(settings), settings.database)) as index:
        totals = index.segments.list_totals()
    if args.json:
        print(json.dumps([each._asdict() | {"store": str(each.store or "")} for each in totals], indent=2))
        return 0
    for each in totals:
        name = str(each.store or _("(deleted store {number})").format(number=each.store_id))
        say(f"{name}  {each.place}: {_describe_totals(each)}")
    if not totals:
        note(
            _(
                "there are no segments; instances of 8 MiB and more, and those of older versions, have a file of their "
                "own"
            )
        )
    return 0


def _describe_totals(totals: SegmentTotals) -> str:
    text = ngettext(
        "{count} segment ({small} small), {instances}, {live} bytes in use, {freed} freed",
        "{count} segments ({small} small), {instances}, {live} bytes in use, {freed} freed",
        totals.segments,
    )
    return text.format(
        count=format_number(totals.segments),
        small=format_number(totals.small_segments),
        instances=count_instances(totals.live_instances),
        live=format_number(totals.live_bytes),
        freed=format_number(totals.freed_bytes),
    )


def compact(args: argparse.Namespace) -> int:
    """Move small files of older versions into segments and rewrite sparse segments. Raises FailedPrecondition while a
    server uses the directory."""
    settings = _load(args)
    _require_data(settings)
    never = threading.Event()
    with closing(DataDirectory(settings, alone=True)) as directory:
        seams = open_seams(settings, directory)
        try:
            if settings.layout == "files":
                note(_("layout = files: small files stay what they are"))
            else:
                for store_id in seams.index.segments.list_stores():
                    try:
                        compact_files(seams, store_id, never, partial(_end_batch, seams))
                    except Aborted as error:
                        note(describe_error(error))
            compact_segments(seams, never)
            join_segments(seams, never)
            sweep_garbage(seams)
        finally:
            seams.executor.end()
            seams.pixels.end()
            seams.index.close()
    return 0


def clear(args: argparse.Namespace) -> int:
    """Delete the files and objects of which ``gantry check`` says that no row names them, and the parts of uploads that
    nobody continues. Raises FailedPrecondition while a server uses the directory, and where the index is damaged."""
    settings = _load(args)
    data = _require_data(settings)
    with closing(DataDirectory(settings, alone=True)) as directory, open_checked(data, settings=settings) as checked:
        _require_sound(checked)
        unknown, uploads = list(_find_unknown(checked)), sorted(checked.list_left_uploads())
        if args.dry_run:
            return _tell_unknown([*unknown, *map(_name_upload, uploads)], {}, _("nobody names it"))
        seams = open_seams(settings, directory)
        try:
            # Of several servers another one may have stored it, and named it before it ended.
            unknown = [found.resource for found in check_unnamed(checked, unknown)] if unknown else []
            failed = {key: describe_error(error) for key, error in seams.blobs.delete_all(unknown).items()}
            failed |= _end_uploads(checked, uploads)
        finally:
            seams.executor.end()
            seams.pixels.end()
            seams.index.close()
    return _tell_unknown([*unknown, *map(_name_upload, uploads)], failed, _("deleted"))


def _require_sound(checked: Checked) -> None:
    """Rows that an index has lost may name what nobody seems to name: a rebuild finds them by these bytes. Raises
    FailedPrecondition."""
    for found in checked.index.checks.find_damage():
        problem = _("the index is damaged, so it may have forgotten what it names: {reason}")
        raise FailedPrecondition(
            problem.format(reason=translate_message(found.message)),
            advice=_("restore it, or run `gantry storage rebuild`"),
        )


def _name_upload(upload: Upload) -> str:
    return _("{key}, parts of the upload {upload}").format(key=upload[0], upload=upload[1][:100])


def _end_uploads(checked: Checked, uploads: Sequence[Upload]) -> dict[str, str]:
    """Why parts could not be removed, by what they are called."""
    failed: dict[str, str] = {}
    for each in uploads:
        try:
            checked.end_upload(*each)
        except StatusError as error:
            failed[_name_upload(each)] = describe_error(error)
    return failed


def _find_unknown(checked: Checked) -> Iterator[str]:
    """Raises DiskAway where a place cannot be listed."""
    for place in checked.places:
        listed = without_gaps(checked.blobs.list(f"{place}/"))
        while keys := [entry.key for entry in islice(listed, _UNNAMED)]:
            yield from (found.resource for found in check_unnamed(checked, keys))


def _tell_unknown(keys: Sequence[str], failed: Mapping[str, str], what: str) -> int:
    for key in keys:
        say(printable(f"{key}: {failed.get(key, what)}"))
    text = _("files and uploads that nobody names: {count}, of them could not be deleted: {failed}")
    note(text.format(count=format_number(len(keys)), failed=format_number(len(failed))))
    return 1 if failed else 0


def _end_batch(seams: Seams, seen: int, moved: int) -> None:
    """The files go at once: otherwise the disk would have to hold the whole store twice."""
    sweep_garbage(seams)
    note(_("{instances} looked at, {moved} moved").format(instances=count_instances(seen), moved=format_number(moved)))


def _load(args: argparse.Namespace) -> Settings:
    flags = {"data": args.data} if args.data else {}
    return load_settings(flags, os.environ, args.config or os.environ.get("GANTRY_CONFIG", ""))


def _require_data(settings: Settings) -> Path:
    path = Path(settings.data).absolute()
    IndexPlace(path, settings.database).require_kept()
    return path
