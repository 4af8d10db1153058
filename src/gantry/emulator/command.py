"""``gantry emulator``: settings, a directory for the time that it runs, and what it begins with."""

from __future__ import annotations

import os
import tempfile
from argparse import Namespace
from pathlib import Path

from gantry.api.server_facts import Source
from gantry.emulator.emulator import Emulator
from gantry.emulator.seeds import read_seeds, read_stores
from gantry.errors import FailedPrecondition, InvalidArgument
from gantry.names import LocationName, check_segments
from gantry.server import serve
from gantry.settings.loading import EmulatorSettings, Settings, find_sources, load_settings
from gantry.storage.uris import is_bucket_name
from gantry.system_errors import describe_os_error

_MARK = "emulator"
"""A file in the data directory: a reset deletes everything there, so it must have been made by an emulator."""


def emulate(args: Namespace) -> int:
    """Run an emulator until a signal stops it. Raises InvalidArgument, FailedPrecondition."""
    with tempfile.TemporaryDirectory(prefix="gantry-emulator-", ignore_cleanup_errors=True) as temporary:
        settings, sources = _load(args, temporary)
        _mark(Path(settings.data))
        serve(settings, emulator=_make(args, settings), sources=sources)
    return 0


def _load(args: Namespace, temporary: str) -> tuple[Settings, dict[str, Source]]:
    flags = {name: value for name, value in vars(args).items() if name not in ("run", "config")}
    defaults = {"host": "0.0.0.0", "data": f"{temporary}/data"}  # noqa: S104 - as a container needs it
    file = args.config or os.environ.get("GANTRY_CONFIG", "")
    settings = load_settings(flags, os.environ, file, EmulatorSettings, defaults)
    if settings.database != "sqlite" or settings.own_bucket is not None:
        raise InvalidArgument("database, blobs: an emulator keeps what is stored in a directory; use `gantry serve`")
    return settings, find_sources(flags, os.environ, file, defaults)


def _make(args: Namespace, settings: Settings) -> Emulator:
    check_segments(args.project, args.location)
    if args.location not in settings.locations:
        raise InvalidArgument(f"--location {args.location}: is not one of {', '.join(settings.locations)}")
    location = LocationName(args.project, args.location)
    seeds = read_stores(args.store or (), location) + read_seeds(args.seed or (), location)
    if wrong := [each for each in args.bucket or () if not is_bucket_name(each)]:
        raise InvalidArgument(f"--bucket {wrong[0]}: is not the name of a bucket")
    buckets = [settings.buckets_path / each for each in args.bucket or ()]
    return Emulator(seeds, buckets, None if settings.buckets else settings.buckets_path)


def _mark(data: Path) -> None:
    """Raises FailedPrecondition where the directory holds what no emulator has made."""
    try:
        if data.is_dir() and any(data.iterdir()) and not (data / _MARK).exists():
            raise FailedPrecondition(
                f"{data} holds the data of a server that is no emulator, which a reset would delete",
                advice="name another directory with --data, or none",
            )
        data.mkdir(parents=True, exist_ok=True)
        (data / _MARK).touch()
    except OSError as error:
        raise FailedPrecondition(f"data {data}: cannot be used: {describe_os_error(error)}") from None
