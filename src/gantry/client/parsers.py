"""What the commands of the command line have in common. Imported for every command, so it imports nothing that is slow
to load."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from gantry.client.help_texts import Epilog
from gantry.languages import _, ngettext

# argparse has no other way to give it texts: its own, such as "usage: ", are found in the same catalogues.
argparse._, argparse.ngettext = _, ngettext  # type: ignore[attr-defined]


JSON = "--json"
"""Programs read what is printed: errors are JSON, too, and all of it is English."""


class Parser(argparse.ArgumentParser):
    """``complete`` adds the arguments that are slow to import, once this command is chosen."""

    complete: Callable[[Parser], None] | None = None
    _prints_json = False

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """As argparse, with the command that is most like what was written."""
        if action.choices is not None and value not in action.choices:
            from difflib import get_close_matches

            near = get_close_matches(str(value), [str(each) for each in action.choices], 1)
            if near:
                text = _("{value} is not there; did you mean {near}?").format(
                    value=repr(str(value)), near=repr(near[0])
                )
            else:
                known = ", ".join(map(str, action.choices))
                text = _("{value} is not there; choose from {known}").format(value=repr(str(value)), known=known)
            raise argparse.ArgumentError(action, text)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """What a command does not know is an error of that command: the whole program would say only how it is used
        itself."""
        self._prints_json = JSON in (sys.argv[1:] if args is None else args)
        if self.complete is not None:
            complete, self.complete = self.complete, None
            complete(self)
        found, unknown = super().parse_known_args(args, namespace)
        if unknown and self._subparsers is None:
            self.error(_("unrecognized arguments: %s") % " ".join(unknown))
        return found, unknown

    def error(self, message: str) -> None:  # type: ignore[override]
        if self._prints_json:
            import json

            print(json.dumps({"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}, indent=2))
        super().error(message)


Commands = argparse._SubParsersAction


class Format(argparse.RawDescriptionHelpFormatter):
    """Widens the first column by the indent of command names, which argparse does not count."""

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length += 2


def add_command(
    commands: Commands[Parser],
    name: str,
    run: str,
    help: str,
    epilog: Epilog | None = None,
    *,
    remote: bool = True,
    json: bool = False,
) -> Parser:
    """A command that the function ``gantry.{run}`` runs. ``remote``: it calls a server. ``json``: it has ``--json``."""
    command = commands.add_parser(
        name,
        help=help,
        description=f"{help[0].upper()}{help[1:]}.",
        epilog=epilog.write() if epilog else None,
        formatter_class=Format,
        allow_abbrev=False,
    )
    command.set_defaults(run=run)
    if json:
        command.add_argument("--json", action="store_true", help=_("print only JSON on stdout"))
    if remote:
        _add_connection(command)
    return command


def add_server(command: argparse._ActionsContainer) -> None:
    command.add_argument(
        "--server",
        metavar="URL",
        default=os.environ.get("GANTRY_SERVER") or "http://127.0.0.1:8080",
        help=_("address of the server (GANTRY_SERVER; default: http://127.0.0.1:8080)"),
    )


def _add_connection(command: Parser) -> None:
    env = os.environ.get
    group = command.add_argument_group(_("connection"))
    add_server(group)
    group.add_argument(
        "--token",
        default=env("GANTRY_TOKEN", ""),
        help=_("sent as Bearer token (GANTRY_TOKEN is safer: not in `ps`)"),
    )
    group.add_argument(
        "--project", default=env("GANTRY_PROJECT") or "gantry", help=_("GANTRY_PROJECT; default: gantry")
    )
    group.add_argument(
        "--location", default=env("GANTRY_LOCATION") or "us-central1", help=_("GANTRY_LOCATION; default: us-central1")
    )


def add_group(commands: Commands[Parser], name: str, help: str, epilog: Epilog) -> Commands[Parser]:
    group = commands.add_parser(
        name,
        help=help,
        description=f"{help[0].upper()}{help[1:]}.",
        epilog=epilog.write(),
        formatter_class=Format,
        allow_abbrev=False,
    )
    return group.add_subparsers(title=_("commands"), metavar="COMMAND", required=True)


def add_dataset(command: Parser) -> None:
    command.add_argument("--dataset", help=_("default: the dataset of GANTRY_STORE, or the only dataset"))


def add_store(command: argparse._ActionsContainer) -> None:
    default = os.environ.get("GANTRY_STORE", "")
    help = _("DATASET/STORE or the full resource name (GANTRY_STORE)")
    command.add_argument("--store", metavar="STORE", default=default, help=help)


def add_place(command: Parser) -> None:
    command.add_argument(
        "--data", metavar="DIR", help=_("the server's directory (GANTRY_DATA; default: ./gantry-data)")
    )
    command.add_argument("--config", metavar="FILE", help=_("the server's settings (GANTRY_CONFIG)"))
