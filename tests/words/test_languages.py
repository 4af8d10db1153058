"""Which language a caller gets, and for how long."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from gantry.languages import LANGUAGES, _, choose_by_environment, choose_by_header, language, ngettext, use_language


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", "en"),
        ("pt", "pt-BR"),
        ("pt-PT,pt;q=0.9,en;q=0.8", "pt-BR"),
        ("FR-ca", "fr"),
        ("de-DE,de;q=0.9,fr;q=0.8,en;q=0.7", "fr"),
        ("en;q=0.5, fr;q=0.6", "fr"),
        ("fr, pt-BR", "fr"),
        ("fr;q=0, pt;q=0.1", "pt-BR"),
        ("fr;q=0", "en"),
        ("*", "en"),
        ("ja", "en"),
        ("fr;q=none, pt;q=0.2", "pt-BR"),
        ("fr;level=1;Q=0.2, pt;q=0.1", "fr"),
        (",;,;q=;;q=nan," * 1000, "en"),
        ("fr;q=nan, pt;q=0.1", "pt-BR"),
        ("x" * 100_000 + ",fr", "en"),
    ],
)
def test_a_browser_names_languages_with_weights(header: str, expected: str) -> None:
    assert choose_by_header(header) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "en"),
        ({"LANG": "pt_BR.UTF-8"}, "pt-BR"),
        ({"LANG": "fr_FR@euro"}, "fr"),
        ({"LANG": "fr_FR.UTF-8", "LC_MESSAGES": "pt_BR.UTF-8"}, "pt-BR"),
        ({"LANG": "fr_FR.UTF-8", "LC_ALL": "en_GB.UTF-8"}, "en"),
        ({"LANG": "fr_FR.UTF-8", "LC_ALL": ""}, "fr"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8", "LANGUAGE": "de:pt:fr"}, "pt-BR"),
        ({"LANGUAGE": "fr"}, "fr"),
        ({"LANG": "pt_BR.UTF-8", "LANGUAGE": "fr", "LC_ALL": "C"}, "en"),
        ({"LANG": "C.UTF-8", "LANGUAGE": "fr"}, "en"),
        ({"LANG": "POSIX"}, "en"),
    ],
)
def test_a_terminal_names_a_locale(environ: dict[str, str], expected: str) -> None:
    assert choose_by_environment(environ) == expected


def test_texts_are_in_the_language_of_the_block_alone() -> None:
    assert (language(), _("Sign out")) == ("en", "Sign out")
    with use_language("fr"):
        with use_language("pt-BR"):
            assert (language(), _("Sign out")) == ("pt-BR", "Sair")
        assert _("Sign out") == "Se déconnecter"
    assert _("Sign out") == "Sign out"


def test_another_thread_has_a_language_of_its_own() -> None:
    with use_language("fr"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(_, "Sign out").result() == "Sign out"


@pytest.mark.parametrize("tag", LANGUAGES)
def test_a_text_without_a_translation_stays_english(tag: str) -> None:
    with use_language(tag):
        assert _("no such text") == "no such text"
        assert [ngettext("{n} no", "{n} nos", n) for n in (1, 2)] == ["{n} no", "{n} nos"]
