"""The part ``cli`` of the catalogues: it has every text of the command line, translated, and no text stands outside."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from catalogues.catalogues import LOCALES, list_untranslated, read
from catalogues.extraction import PARTS, SOURCE

from gantry.client.argparse_texts import TEXTS

MARKS = {"_", "N_", "ngettext"}
SAYING = {"say": 1, "note": 1, "print_error": 1, "confirm": 1, "format_failure": 2, "_say_step": 2, "_say_result": 9}
"""Functions that show their first arguments to people, and how many."""
PAIRS = {"fields", "table"}
ERRORS = ast.parse((SOURCE / "errors.py").read_text(encoding="utf-8"))
COMMANDS = [*sorted((SOURCE / "client").glob("*.py")), SOURCE / "demo.py", SOURCE / "greeting.py", SOURCE / "cli.py"]
_WORD = re.compile(r"(?<![-{\w/])[A-Za-z]{3,}")
_PLACE = re.compile(r"\{\w+\}|%\(\w+\)[sr]|%[sr]")
_EXACT = re.compile(r"`[^`]+`|(?<![\w-])--[a-z][a-z-]*|GANTRY_[A-Z]+|gs://\S+|s3://\S+")
"""What no translation changes: commands, flags, variables, addresses."""
_COPIED = re.compile(r"\s*(?:export |gcloud |`?pip |--|\.|[^ ]*/[^ ]*$)")
"""Lines for a shell, flags, names of resources and files."""
_OURS = {"gs", "blobs", "export", "import", "gcloud", "healthcare", "gantry"}


def find_calls(tree: ast.AST, names: set[str]) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            yield node


@pytest.fixture(scope="module")
def texts() -> set[str]:
    """All that the catalogues of one language have."""
    found: set[str] = set()
    for part in PARTS:
        for message in read(LOCALES[0], part):
            found |= set(message.id if isinstance(message.id, tuple) else (message.id,))
    return found


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_text_that_is_marked_is_in_the_catalogues(path: Path, texts: set[str]) -> None:
    """Also where the extraction does not look: it finds nothing in f-strings."""
    marked = set()
    for call in find_calls(ast.parse(path.read_text(encoding="utf-8")), MARKS):
        forms = call.args[:2] if ast.unparse(call.func) == "ngettext" else call.args[:1]
        marked |= {each.value for each in forms if isinstance(each, ast.Constant) and isinstance(each.value, str)}
    assert marked <= texts, "run ./run translate; a text must not stand in an f-string"


@pytest.mark.parametrize("locale", LOCALES)
def test_the_command_line_is_translated(locale: str) -> None:
    assert list_untranslated(read(locale, "cli")) == []


@pytest.mark.parametrize("locale", LOCALES)
def test_translations_keep_places_commands_and_flags(locale: str) -> None:
    for message in read(locale, "cli"):
        if not message.id:
            continue
        ids, forms = (each if isinstance(each, tuple) else (each,) for each in (message.id, message.string))
        for form in forms:
            assert sorted(_PLACE.findall(form)) == sorted(_PLACE.findall(ids[-1])), form
            assert sorted(_EXACT.findall(form)) == sorted(_EXACT.findall(ids[-1])), form
            assert [form[:1].isspace(), form[-1:].isspace()] == [ids[-1][:1].isspace(), ids[-1][-1:].isspace()], form


@pytest.mark.parametrize("locale", LOCALES)
def test_translations_fit_the_terminal_as_english_does(locale: str) -> None:
    """Texts with lines of their own are not wrapped."""
    for message in read(locale, "cli"):
        if isinstance(message.id, str) and "\n" in message.id:
            assert max(map(len, message.string.splitlines())) <= 121, message.string


def test_argparse_has_these_texts() -> None:
    """Those that its users see. One that is not there any more has no effect."""
    source = Path(argparse.__file__).read_text(encoding="utf-8")
    known = {
        each.value for call in find_calls(ast.parse(source), {"_"}) if isinstance(each := call.args[0], ast.Constant)
    }
    assert set(TEXTS) <= known
    others = known - set(TEXTS)
    assert not {each for each in others if each.startswith(("expected", "the following", "unrecognized", "usage"))}


def list_errors() -> set[str]:
    return {node.name for node in ERRORS.body if isinstance(node, ast.ClassDef)} | {"Difference"}


def find_shown(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Texts in calls that show them to people, and that go through no catalogue: line and text."""
    errors = list_errors()
    for call in find_calls(tree, {*SAYING, *PAIRS, *errors}):
        name = ast.unparse(call.func)
        shown = call.args[: SAYING.get(name, 1)]
        shown += [each.value for each in call.keywords if each.arg == "advice"]
        for argument in shown:
            yield from find_unmarked(argument)


def find_unmarked(node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        if called in MARKS or called.endswith((".get", ".isoformat", ".command", "getattr")):
            return
        if called == "Text":
            yield from find_unmarked(node.args[0])  # its style follows
            return
    if isinstance(node, ast.Tuple) and len(node.elts) == 2 and isinstance(node.elts[1], ast.Constant):
        node = node.elts[0]  # a text and its style
    if isinstance(node, ast.Subscript):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        words = [each for each in _WORD.findall(node.value) if each not in _OURS and not each.isupper()]
        if words and not _COPIED.match(node.value):
            yield node.lineno, node.value
    for child in ast.iter_child_nodes(node):
        yield from find_unmarked(child)


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.name)
def test_no_text_is_shown_that_is_in_no_catalogue(path: Path) -> None:
    assert list(find_shown(ast.parse(path.read_text(encoding="utf-8")))) == []


def test_a_text_that_is_in_no_catalogue_is_found() -> None:
    code = (
        'say("all is done")\nnote(f"{n} more rows")\nraise NotFound("no such thing", advice="look again")\nsay(_("ok"))'
    )
    assert [line for line, _text in find_shown(ast.parse(code))] == [1, 2, 3, 3]
