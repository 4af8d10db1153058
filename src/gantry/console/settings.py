"""*Settings*: what this server was started with, and where each value comes from."""

from __future__ import annotations

import re
from typing import NamedTuple

from markupsafe import Markup, escape
from starlette.responses import Response

from gantry.api.methods import SHOW_SETTINGS
from gantry.api.server_facts import SettingGroup, ShownSetting, Source
from gantry.console.page_call import Crumb, PageCall
from gantry.languages import N_, _

SOURCES = {
    Source.DEFAULT: N_("Default"),
    Source.FILE: N_("Settings file"),
    Source.ENVIRONMENT: N_("Environment"),
    Source.OPTION: N_("Option of the command"),
}
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_CODE = re.compile(r"`([^`]+)`")
_MAX_SHOWN = 160  # characters of a value that stand unfolded


class Row(NamedTuple):
    """``about`` is HTML."""

    setting: ShownSetting
    about: Markup
    source: str

    @property
    def is_set(self) -> bool:
        return self.setting.source is not Source.DEFAULT

    @property
    def is_long(self) -> bool:
        return len(self.setting.value) > _MAX_SHOWN


def show_settings(call: PageCall) -> Response:
    """Raises PermissionDenied."""
    with call.api.use(SHOW_SETTINGS, ()):
        call.api.caller.require_administrator()
    only_set = call.query.get("only") == "set"
    groups = [(each.title, _list_rows(each, only_set)) for each in call.context.facts.settings]
    return call.show(
        "settings.html",
        crumbs=(Crumb(_("Settings"), ""),),
        groups=[(title, rows) for title, rows in groups if rows],
        only_set=only_set,
        count=sum(len(each.settings) for each in call.context.facts.settings),
        count_set=sum(
            each.source is not Source.DEFAULT for group in call.context.facts.settings for each in group.settings
        ),
    )


def _list_rows(group: SettingGroup, only_set: bool) -> list[Row]:
    rows = [Row(each, write_html(each.about), _(SOURCES[each.source])) for each in group.settings]
    return [each for each in rows if each.is_set or not only_set]


def write_html(text: str) -> Markup:
    """A line of docs/settings.md: links lead to pages that the server does not have, so their words are left."""
    plain = _LINK.sub(r"\1", text)
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(plain))))  # noqa: S704 - escaped
