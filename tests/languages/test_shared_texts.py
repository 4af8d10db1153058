"""What the modules say that the server shares with the command line, and how it is found again."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from catalogues.extraction import SOURCE

from gantry.client.messages import describe_error, describe_failure, translate_message
from gantry.client.shared_texts import SHARED
from gantry.errors import FailedPrecondition, InvalidArgument, NotFound, StatusError
from gantry.languages import use_language
from tests.languages.test_command_line_texts import find_calls, list_errors

SINGLE = (
    *("names", "storage/uris", "server", "listening", "port_file", "config", "generations", "generation_checks"),
    *("index_copies", "index_wiring", "bucket_wiring", "access_wiring", "engine_wiring", "key_wiring"),
    *("notification_wiring", "table_wiring"),
)
MODULES = [
    *(SOURCE / f"{name}.py" for name in SINGLE),
    *(path for folder in ("settings", "emulator", "checking") for path in sorted((SOURCE / folder).glob("*.py"))),
    *sorted((SOURCE / "index").glob("check_*.py")),
]
READERS = {"Reader", "text_that", "list_of"}
_PLACE = re.compile(r"\{\w+\}")
_OWN = 3  # letters of its own that a text has at least


def find_texts(path: Path) -> Iterator[str]:
    """What is said in errors, findings and descriptions of settings, with {} in the places of values."""
    errors = list_errors() | {"Finding", *READERS}
    for call in find_calls(ast.parse(path.read_text(encoding="utf-8")), errors):
        said = call.args[2:] if ast.unparse(call.func) == "Finding" else call.args[:1]
        for argument in (*said, *(each.value for each in call.keywords if each.arg == "advice")):
            text = "".join(_read(argument))
            if len(re.sub(r"\W", "", text)) > _OWN:
                yield text


def _read(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value.replace("{", "{{").replace("}", "}}")
    elif isinstance(node, ast.JoinedStr):
        for each in node.values:
            yield from _read(each) if isinstance(each, ast.Constant) else ("{}",)


def test_they_are_all_known_and_no_more() -> None:
    said = {text for path in MODULES for text in find_texts(path)}
    known = {_PLACE.sub("{}", text) for text in SHARED}
    assert (said - known, known - said) == (set(), set())


def test_no_two_places_of_a_text_have_one_name() -> None:
    assert [text for text in SHARED if len(set(_PLACE.findall(text))) != len(_PLACE.findall(text))] == []


@pytest.mark.parametrize(
    ("english", "french"),
    [
        ("port: 'many' is not a whole number from 0 to 65535", "port : 'many' n'est pas un nombre entier de 0 à 65535"),
        ("/a/b {x}: cannot be read: the disk is full", "/a/b {x} : ne peut pas être lu : le disque est plein"),
        ("nobody says this", "nobody says this"),
        ("", ""),
    ],
)
def test_a_text_is_found_again_with_its_values(english: str, french: str) -> None:
    with use_language("fr"):
        assert translate_message(english) == french
    assert translate_message(english) == english


@pytest.mark.parametrize(
    ("error", "english", "french"),
    [
        (
            InvalidArgument("blobs: the settings name no bucket"),
            "blobs: the settings name no bucket",
            "blobs : les para",
        ),
        (
            FailedPrecondition(
                "/d is in use by another gantry server", advice="stop it or choose another --data directory"
            ),
            "/d is in use by another gantry server. Stop it or choose another --data directory",
            "/d est utilisé par un autre serveur gantry. Arrêtez-le ou choisissez un autre répertoire --data",
        ),
        (NotFound("d/x was not found", ({},)), "d/x was not found", "(d/x was not found)"),
    ],
)
def test_an_error_is_english_for_programs_and_french_for_a_reader(
    error: StatusError, english: str, french: str
) -> None:
    assert describe_error(error) == error.message == english
    with use_language("fr"):
        assert french in describe_error(error)


def test_a_failure_has_the_title_of_its_reason() -> None:
    assert describe_failure("ends early", "TRUNCATED") == "ends early [TRUNCATED]"
    with use_language("pt-BR"):
        assert describe_failure("ends early", "TRUNCATED").endswith(": ends early [TRUNCATED]")
        assert describe_failure("ends early", "OF_A_NEWER_SERVER") == "ends early [OF_A_NEWER_SERVER]"
        assert describe_failure("ends early", "") == "ends early"
