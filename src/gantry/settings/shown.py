"""Settings as people read them: what is set, and where; nothing of what is secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from gantry.api.server_facts import SettingGroup, ShownSetting, Source
from gantry.settings.groups import GROUPS
from gantry.settings.loading import Settings
from gantry.settings.setting import about_field

HIDDEN = "set; not shown"


def show_settings(settings: Settings, sources: Mapping[str, Source]) -> list[SettingGroup]:
    """Every setting, in the groups of docs/settings.md. ``sources`` as of ``find_sources``."""
    return [
        SettingGroup(
            group.__doc__ or "",
            [_show(settings, each.name, sources.get(each.name, Source.DEFAULT)) for each in fields(group)],
        )
        for group in GROUPS
    ]


def _show(settings: Settings, name: str, source: Source) -> ShownSetting:
    about = about_field(next(each for each in fields(settings) if each.name == name))
    value = getattr(settings, name)
    is_hidden = about.secret and value and source is not Source.DEFAULT
    shown = HIDDEN if is_hidden else _write(value)
    return ShownSetting(name, shown, source, f"{about.help} {about.more}".strip(), about.absent)


def _write(value: Any) -> str:
    """In the way of the settings file; "" for nothing."""
    if value is None or value == "" or (value in ((), {}) and not isinstance(value, bool)):
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(_simplify(value), ensure_ascii=False)


def _simplify(value: Any) -> Any:
    """Without what a class of settings keeps from its own text (``repr=False``): that is how it marks a secret."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            each.name: _simplify(getattr(value, each.name)) if each.repr else HIDDEN
            for each in fields(value)
            if getattr(value, each.name) != each.default and getattr(value, each.name) not in ("", (), None)
        }
    if isinstance(value, Mapping):
        return {key: _simplify(each) for key, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [_simplify(each) for each in value]
    return value
