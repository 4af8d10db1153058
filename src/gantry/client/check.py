"""``gantry check``: does all that is stored in a data directory agree with itself? Nothing is changed."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from pathlib import Path

from gantry.checking.directory import Checked
from gantry.checking.run import check
from gantry.client.messages import describe_error, translate_message
from gantry.client.terminal import count_instances, error_json, note, print_error, printable, say, say_json
from gantry.config import open_checked
from gantry.errors import StatusError
from gantry.findings import Finding, Kind
from gantry.languages import _, ngettext
from gantry.settings.loading import Settings, load_settings
from gantry.sizes import format_decimal, format_number

CLEAN, FOUND, NOT_CHECKED = 0, 1, 2  # exit codes


def check_directory(args: argparse.Namespace) -> int:
    """Print each finding as it is found, then a summary; the exit code."""
    try:
        settings = _load(args)
        with open_checked(Path(settings.data).absolute(), args.read, settings) as checked:
            checked.tell = lambda name, done: note(f"{_(name)}: {format_number(done)}" if done else f"{_(name)} …")
            return _report(checked, args.json)
    except StatusError as error:
        print_error(describe_error(error))
        if args.json:
            say_json(error_json(error), indent=None)
        return NOT_CHECKED


def _load(args: argparse.Namespace) -> Settings:
    flags = {"data": args.data} if args.data else {}
    return load_settings(flags, os.environ, args.config or os.environ.get("GANTRY_CONFIG", ""))


def _report(checked: Checked, as_json: bool) -> int:
    begun, kinds = time.monotonic(), Counter[Kind]()
    if checked.is_used:
        note(_("a server uses this directory: what seems wrong is looked at twice"))
    for found in check(checked):
        kinds[found.kind] += 1
        _print(found, as_json)
    _summarise(checked, kinds, time.monotonic() - begun, as_json)
    if kinds[Kind.NOT_CHECKED]:
        return NOT_CHECKED
    return FOUND if kinds else CLEAN


def _print(found: Finding, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"kind": found.kind.value, "resource": found.resource, "message": found.message}))
    else:
        say(printable(f"{found.kind.value}  {found.resource}: {translate_message(found.message)}"))


def _summarise(checked: Checked, kinds: Counter[Kind], seconds: float, as_json: bool) -> None:
    findings = kinds.total() - kinds[Kind.NOT_CHECKED]
    if as_json:
        counts = {"findings": findings, "notChecked": kinds[Kind.NOT_CHECKED]}
        counts |= {"instances": checked.instances, "bytes": checked.bytes}
        modes = {"read": checked.reads, "serverRunning": checked.is_used, "seconds": round(seconds, 1)}
        print(json.dumps({"summary": counts | modes}))
        return
    took = _("{seconds} s").format(seconds=format_decimal(seconds))
    what = ", ".join((count_instances(checked.instances), _count_bytes(checked.bytes), took))
    if findings:
        text = ngettext("{count} finding: {counts}", "{count} findings: {counts}", findings)
        say(text.format(count=format_number(findings), counts=what))
    else:
        say(_("nothing is wrong: {counts}").format(counts=what))
    if left := kinds[Kind.NOT_CHECKED]:
        text = ngettext("{count} part could not be checked", "{count} parts could not be checked", left)
        say(text.format(count=format_number(left)))


def _count_bytes(count: int) -> str:
    return ngettext("{count} byte", "{count} bytes", count).format(count=format_number(count))
