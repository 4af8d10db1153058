"""``changes``: what happened to the instances of a DICOM store, one line for each."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterator

from gantry.client.api import Api, Json
from gantry.client.connection import Connection
from gantry.client.progress import FIRST_PAUSE, LONGEST_PAUSE, PATIENCE, format_patience
from gantry.client.terminal import note, printable, say, say_json
from gantry.errors import InvalidArgument, Unavailable
from gantry.languages import _

_WAIT_SECONDS = 30  # of one request, with --follow: less than proxies and the client itself wait


def show(args: Namespace) -> int:
    """Print changes, oldest first. Behind the last one, also where Ctrl-C ends it, stands the token to go on with; in
    JSON behind those of each request."""
    if args.since and args.now:
        raise InvalidArgument(_("--since and --now: give one of them"))
    connection = Connection.of(args)
    token, told = args.since or "", ""
    try:
        for page in _pages(connection.api, str(connection.store(args.store)), token, args.now, args.follow):
            for change in page["changes"]:
                _print(change, args.json)
            token = page["nextPageToken"]
            if args.json and (page["changes"] or not told):
                told = _print_token(token, args.json)
    finally:
        if token != told:
            _print_token(token, args.json)
    return 0


def _pages(api: Api, store: str, token: str, now: bool, follows: bool) -> Iterator[Json]:
    """Until there are no more changes; with ``follows`` for ever."""
    query = {"pageToken": token} if token else {"from": "now"} if now else {}
    while True:
        page = _read(api, store, query, follows)
        yield page
        if not follows and not page["changes"]:
            return
        query = {"pageToken": page["nextPageToken"]} | ({"wait": str(_WAIT_SECONDS)} if follows else {})


def _read(api: Api, store: str, query: dict[str, str], is_patient: bool) -> Json:
    """``is_patient``: a server may be away for as long as a restart takes. Raises what the server answers."""
    lost, pause = 0.0, FIRST_PAUSE
    while True:
        try:
            return api.get(f"{store}:changeFeed", **query)
        except Unavailable as error:
            lost = lost or time.monotonic()
            if not is_patient or time.monotonic() - lost > PATIENCE:
                raise
            if pause == FIRST_PAUSE:
                note(format_patience(error))
        time.sleep(pause)
        pause = min(pause * 1.3, LONGEST_PAUSE)


def _print(change: Json, as_json: bool) -> None:
    if as_json:
        say_json(change, indent=None)
        return
    study, series, instance = (change[f"{level}InstanceUID"] for level in ("study", "series", "sop"))
    moved = f"{change['previousStorageClass']} -> " if "previousStorageClass" in change else ""
    words = (change["lastUpdatedTime"], f"{change['change']:<8}", f"{change['action']:<15}")
    where = f"studies/{study}/series/{series}/instances/{instance}"
    say(printable(f"{'  '.join(words)}  {where}  {moved}{change['storageClass']}"))


def _print_token(token: str, as_json: bool) -> str:
    if as_json:
        say_json({"nextPageToken": token}, indent=None)
    else:
        note(_("to go on from here: {flag}").format(flag=f"--since {token}"))
    return token
