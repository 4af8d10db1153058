"""docs/settings.md and the flags of ``gantry serve`` say what each setting does, its default, and an example.

``GANTRY_WRITE_DOCS=1 pytest tests/docs/test_settings_page.py`` writes the tables of the page again.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from gantry.client.arguments import parser
from gantry.settings.groups import GROUPS
from gantry.settings.loading import Settings
from gantry.settings.page import write_tables
from gantry.settings.setting import about_field, read_value, settings_of

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
TABLES = re.compile(r"(<!-- tables: .*? -->\n)(.*)(<!-- end of tables -->\n)", re.DOTALL)
FLAGS = (
    "runner",
    *(
        "host",
        "port",
        "port_file",
        "log_level",
        "log_requests",
        "data",
        "database",
        "buckets",
        "workers",
        "public_url",
        "retention_days",
        "log_json",
        "strict_search",
    ),
    *("auth", "tokens_file", "oidc_issuer", "oidc_audience", "audit_log", "tls_cert", "tls_key", "admins"),
)
SETTINGS = settings_of(Settings)


def test_the_page_is_what_the_settings_say() -> None:
    text = PAGE.read_text(encoding="utf-8")
    found = TABLES.search(text)
    assert found is not None
    wanted = f"\n{write_tables()}\n"
    if os.environ.get("GANTRY_WRITE_DOCS"):
        PAGE.write_text(text.replace(found[2], wanted) if found[2] else TABLES.sub(rf"\1{wanted}\3", text))
        return
    assert found[2] == wanted


def test_every_setting_is_in_one_group() -> None:
    grouped = [each.name for group in GROUPS for each in fields(group)]
    assert sorted(grouped) == sorted(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_says_what_it_does_its_default_and_an_example(name: str) -> None:
    about = SETTINGS[name]
    assert re.fullmatch(r"[A-Za-z].{15,}\.", about.help), "a sentence"
    assert "`" not in about.help and "|" not in about.help + about.more
    (row,) = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if f"`GANTRY_{name.upper()}`" in line]
    flag, variable, key, default, meaning, example = (cell.strip() for cell in row.strip("|").split(" | "))
    assert (variable, key) == (f"`GANTRY_{name.upper()}`", f"`{name}`")
    assert flag == (f"`{_flag_of(name)}`" if name in FLAGS else "")
    assert default.strip("`") and about.help in meaning
    value = tomllib.loads(example.strip("`"))[name]
    assert read_value(name, about, value) != getattr(Settings(), name), "an example shows something else"


def test_a_default_is_shown_as_it_is_written() -> None:
    for each in fields(Settings):
        default = each.default if each.default_factory is MISSING else each.default_factory()
        if not (about := about_field(each)).absent:
            text = str(default).lower() if isinstance(default, bool) else str(default)
            assert read_value(each.name, about, text) == default


def _flag_of(name: str) -> str:
    return "--no-runner" if name == "runner" else f"--{name.replace('_', '-')}"


def test_flags_of_serve(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["serve", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for name, about in SETTINGS.items():
        assert (f"{_flag_of(name)} " in text) is (name in FLAGS)
        assert (" ".join(about.help.split()) in text) is (name in FLAGS)
    assert "Default: one per core, at least 4 and at most 16." in text
    assert vars(parser().parse_args(["serve"])).keys() - {"run", "config", "version"} == set(FLAGS)
