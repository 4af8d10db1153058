"""One setting: its default, its reader, and its texts in the help and in docs/settings.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any

from gantry.errors import InvalidArgument

_KEY = "setting"
_MAX_SHOWN = 100  # characters of a wrong value


@dataclass(frozen=True, slots=True)
class Reader:
    """``read`` takes the text of a flag or variable, or a value of the TOML file. It raises ValueError or TypeError for
    a wrong value. ``wanted`` describes a right one, after the words "is not"."""

    wanted: str
    read: Callable[[Any], Any]
    metavar: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """``help``: sentences in plain text; ``more``: Markdown that follows them in the page only. ``example``: a value as
    in the TOML file. ``absent``: what applies if nothing is set, where the default does not say it. ``flag``: ``gantry
    serve`` has a flag for it. ``secret``: the value is never shown."""

    reader: Reader
    help: str
    example: str
    more: str = ""
    absent: str = ""
    flag: bool = False
    secret: bool = False


def setting(default: Any, reader: Reader, help: str, example: str, **more: Any) -> Any:
    """A field of a dataclass of settings. ``more`` as for ``Setting``."""
    about = Setting(reader, help, example, **more)
    return field(default=default, metadata={_KEY: about}, repr=not about.secret)


def table(reader: Reader, help: str, example: str, **more: Any) -> Any:
    """A field whose value is a table; empty by default."""
    return field(default_factory=dict, metadata={_KEY: Setting(reader, help, example, **more)})


def settings_of(group: type) -> Mapping[str, Setting]:
    """The settings of a dataclass by name, those of its bases first."""
    return {each.name: about_field(each) for each in fields(group)}


def about_field(each: Field[Any]) -> Setting:
    about: Setting = each.metadata[_KEY]
    return about


def read_value(name: str, about: Setting, value: Any) -> Any:
    """Raises InvalidArgument, which names the setting and describes a right value."""
    try:
        return about.reader.read(value)
    except (TypeError, ValueError, AttributeError):
        shown = "the value" if about.secret else repr(value)
        shown = shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}…"
        raise InvalidArgument(f"{name}: {shown} is not {about.reader.wanted}") from None
