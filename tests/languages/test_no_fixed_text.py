"""No text of the console is outside the catalogues: read in templates, scripts and Python, without a server."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import gantry.console
from tests.languages.template_texts import find_fixed_texts

CONSOLE = Path(gantry.console.__file__).parent
TEMPLATES = sorted(CONSOLE.rglob("templates/**/*.html"))
MODULES = sorted(CONSOLE.rglob("*.py"))
SCRIPTS = sorted(path for path in CONSOLE.rglob("static/*.js") if path.name != "htmx.min.js")
SPEAKING = re.compile(r"(Crumb|Refused|NotHere|NotNow|NotSignedIn|InvalidArgument|NotFound|FailedPrecondition|within)$")
"""What is shown to people when it is called with a text."""
UNTRANSLATED = ("this server runs no queries", "there is no such file: /static/")
"""What no page can lead to."""
_COMMENT = re.compile(r"^\s*//.*$|\s// .*$", re.M)
_STRING = re.compile(r"\"((?:\\.|[^\"\\\n])*)\"|'((?:\\.|[^'\\\n])*)'|`((?:\\.|[^`\\])*)`")
_WORDS = re.compile(r"^[A-Z][a-z]+$|(?:^|[\s}])[A-Za-z]{2,} [a-z]{2,}")
TECHNICAL = {"use strict", "Enter", "Escape", "Content-Type"}
"""Of languages and keyboards."""


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_has_no_text_of_its_own(path: Path) -> None:
    assert find_fixed_texts(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("<h1>Studies</h1>", ["Studies"]),
        ('<h1>{{ _("Studies") }}</h1><p>{% trans n=1 %}of {{ n }}{% endtrans %}</p>', []),
        ('<a title="Show all">{{ name }}</a>', ["Show all"]),
        ('<input placeholder="{{ _("Search") }}" aria-label="Search">', ["Search"]),
        ("<p>{{ 'Not yet' if a else 'Done' }}</p>", ["Not yet", "Done"]),
        ("<p>{{ 'ok' if state == 'running' else '' }}{{ url_path(name) }}</p>", []),
        ("<p>{% if a %}More than{% endif %} {{ n }}</p>", ["More than"]),
        ("<code>studies/1.2</code><p>DICOM · {{ n }}</p>", []),
        ("<option{{ ' selected' if a }}>Rows</option>", ["Rows"]),
    ],
)
def test_what_counts_as_a_text(template: str, found: list[str]) -> None:
    assert find_fixed_texts(template) == found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_python_shows_no_text_of_its_own(path: Path) -> None:
    wrong = [
        ast.unparse(call)
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and SPEAKING.search(ast.unparse(call.func)) and call.args
        for text in call.args[:1]
        if isinstance(text, (ast.Constant, ast.JoinedStr))
        and not any(each in ast.unparse(text) for each in UNTRANSLATED)
    ]
    assert wrong == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_takes_its_texts_from_the_page(path: Path) -> None:
    code = _COMMENT.sub("", path.read_text(encoding="utf-8"))
    literals = {"".join(found) for found in _STRING.findall(code)}
    assert {text for text in literals if _WORDS.search(text)} - TECHNICAL == set()
