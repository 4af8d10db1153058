"""``gantry service-accounts``: keys for programs, in files for Google's clients."""

from __future__ import annotations

import argparse
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from gantry.access_wiring import open_service_accounts
from gantry.client.terminal import note, say
from gantry.errors import AlreadyExists, ResourceExhausted
from gantry.languages import _
from gantry.settings.loading import Settings, load_settings
from gantry.system_errors import describe_os_error


def create(args: argparse.Namespace) -> int:
    """Write a new key to a file that only its owner can read. Raises AlreadyExists, InvalidArgument."""
    target = Path(args.out or f"{args.name}.json")
    if target.exists():
        raise AlreadyExists(_("{path} already exists; name another file with --out").format(path=target))
    with open_service_accounts(_load(args)) as accounts:
        key = accounts.create(args.name, args.project, f"{args.server.rstrip('/')}/token")
        try:
            with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                json.dump(key, file, indent=2)
                file.write("\n")
        except OSError as error:
            accounts.delete(key["private_key_id"])
            problem = _("{path}: {reason}; no key was created")
            raise ResourceExhausted(problem.format(path=target, reason=_(describe_os_error(error)))) from None
    say(key["client_email"])
    text = _("its key is stored only in {path}; the account has no permissions until a policy gives it a role")
    note(text.format(path=target))
    return 0


def list_(args: argparse.Namespace) -> int:
    with open_service_accounts(_load(args)) as accounts:
        keys = accounts.list()
    if args.json:
        entries = [{"email": key.email, "keyId": key.id, "created": _time(key.created)} for key in keys]
        print(json.dumps(entries, indent=2))
        return 0
    for key in keys:
        say(f"{key.id}  {_time(key.created)}  {key.email}")
    if not keys:
        note(_("there are no service accounts; create one with `gantry service-accounts create NAME`"))
    return 0


def delete(args: argparse.Namespace) -> int:
    """Delete a key. It and the tokens given for it stop working within a second. Raises NotFound."""
    with open_service_accounts(_load(args)) as accounts:
        accounts.delete(args.key)
    return 0


def _load(args: argparse.Namespace) -> Settings:
    flags = {"data": args.data} if args.data else {}
    return load_settings(flags, os.environ, args.config or os.environ.get("GANTRY_CONFIG", ""))


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
