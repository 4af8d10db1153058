"""The commands and flags of a parser, for what is made from it: completion and the manual page."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field

from gantry.client.arguments import parser
from gantry.client.parsers import Parser
from gantry.languages import ENGLISH, use_language

_FILES = ("FILE", "DIR", "PATH")
"""Words of metavars whose values are files of this machine."""


@dataclass(frozen=True)
class Argument:
    """A flag, or what stands without one (``flags`` is empty). ``value`` is the name of its value, "" without one."""

    flags: tuple[str, ...]
    value: str
    help: str
    choices: tuple[str, ...] = ()

    @property
    def is_file(self) -> bool:
        return any(word in self.value for word in _FILES) and "gs://" not in self.value


@dataclass(frozen=True)
class Command:
    """``path`` is () for ``gantry`` itself."""

    path: tuple[str, ...]
    help: str
    usage: str
    epilog: str
    arguments: tuple[Argument, ...] = ()
    commands: tuple[Command, ...] = field(default=())

    def walk(self) -> Iterator[Command]:
        """This command and all below it."""
        yield self
        for each in self.commands:
            yield from each.walk()


def read_english_tree() -> Command:
    """The whole command line, as files for all users of a machine have it: in English."""
    with use_language(ENGLISH):
        return read_tree(parser())


def read_tree(parser: Parser, path: tuple[str, ...] = (), help: str = "") -> Command:
    """With the flags that are added when a command is chosen."""
    if parser.complete is not None:
        complete, parser.complete = parser.complete, None
        complete(parser)
    arguments, commands = [], []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {each.dest: each.help or "" for each in action._choices_actions}
            commands = [read_tree(each, (*path, name), helps[name]) for name, each in action.choices.items()]
        elif action.help != argparse.SUPPRESS:
            arguments.append(_read_argument(parser, action))
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    return Command(path, help or str(parser.description), usage, parser.epilog or "", tuple(arguments), tuple(commands))


def _read_argument(parser: Parser, action: argparse.Action) -> Argument:
    takes_value = action.nargs != 0
    shown = action.metavar or (action.dest if not action.option_strings else action.dest.upper())
    help = parser._get_formatter()._expand_help(action) if action.help else ""
    choices = tuple(map(str, action.choices or ()))
    return Argument(tuple(action.option_strings), str(shown) if takes_value else "", help, choices)
