"""Errors in the caller's language: a detail beside the message, which is English for everybody."""

from __future__ import annotations

from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from googleapiclient import discovery
from googleapiclient.errors import HttpError

from gantry.languages import _ as translated
from gantry.languages import use_language
from gantry.reasons import ABOUT, Reason
from tests.support.gantry import Gantry

MISSING = "v1/projects/p/locations/us-central1/datasets/none"
TYPE = "type.googleapis.com/google.rpc.LocalizedMessage"


def ask(gantry: Gantry, path: str, language: str | None) -> Any:
    headers = {} if language is None else {"accept-language": language}
    return gantry.server.client.get(f"/{path}", headers=headers)


def localized(error: dict[str, Any]) -> list[dict[str, str]]:
    return [detail for detail in error.get("details", ()) if detail["@type"] == TYPE]


@pytest.mark.parametrize(
    ("language", "locale", "text"),
    [
        ("pt-BR,pt;q=0.9,en;q=0.8", "pt-BR", "Não encontrado. Verifique o nome."),
        ("fr-FR", "fr", "Introuvable. Vérifiez le nom."),
    ],
)
def test_the_message_stays_english_beside_the_other_language(
    gantry: Gantry, language: str, locale: str, text: str
) -> None:
    plain, answer = ask(gantry, MISSING, None), ask(gantry, MISSING, language)
    error = answer.json()["error"]
    assert answer.status_code == 404 and error["message"] == plain.json()["error"]["message"]
    assert localized(error) == [{"@type": TYPE, "locale": locale, "message": text}]
    assert "accept-language" in answer.headers["vary"]


@pytest.mark.parametrize("language", [None, "en-US", "de", "*", "fr;q=0", "en, fr;q=0.9"])
def test_others_get_what_they_got_before(gantry: Gantry, language: str | None) -> None:
    assert localized(ask(gantry, MISSING, language).json()["error"]) == []


def test_details_of_an_error_are_kept(gantry: Gantry) -> None:
    answer = ask(gantry, f"{MISSING.rpartition('/')[0]}?pageSize=x", "fr")
    types = [detail["@type"].rpartition(".")[2] for detail in answer.json()["error"]["details"]]
    assert answer.status_code == 400 and types[-1] == "LocalizedMessage"


def test_the_error_of_an_operation_has_it_too(gantry: Gantry) -> None:
    gantry.put(gantry.bucket, "a.txt", b"no image")
    name = gantry.import_("**")["name"]
    error = ask(gantry, f"v1/{name}", "pt").json()["error"]
    with use_language("pt-BR"):
        about = ABOUT[Reason.NOT_DICOM]
        expected = f"{translated(about.title)}. {translated(about.advice)}"
    assert [detail["message"] for detail in localized(error)] == [expected]
    assert localized(ask(gantry, f"v1/{name}", None).json()["error"]) == []


def test_every_reason_has_a_text_in_both_languages() -> None:
    for tag in ("pt-BR", "fr"):
        with use_language(tag):
            same = {text for about in ABOUT.values() for text in about[:2] if translated(text) == text}
        assert same == set()


def test_googles_client_is_not_disturbed(gantry: Gantry) -> None:
    """It takes what it shows out of ``message``, and the details as they are."""
    options = {"api_endpoint": gantry.server.url}
    service = discovery.build(
        "healthcare", "v1", credentials=AnonymousCredentials(), client_options=options, static_discovery=True
    )
    request = service.projects().locations().datasets().get(name=MISSING.removeprefix("v1/"))
    request.headers["accept-language"] = "fr"
    with pytest.raises(HttpError) as caught:
        request.execute()
    assert caught.value.status_code == 404 and "none" in caught.value.reason
    assert caught.value.error_details[-1]["locale"] == "fr"
