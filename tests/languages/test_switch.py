"""Which language a page is in: by the switch, by the browser; and what caches and programs are told."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.console.test_access import OWN, Guarded, guarded, signed_in
from tests.support.gantry import Gantry

__all__ = ["guarded"]
HEADINGS = {"en": "Datasets", "pt-BR": "Conjuntos de dados", "fr": "Ensembles de données"}


@pytest.fixture
def browser_of(gantry: Gantry) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gantry.server.url) as client:
        yield client


def language_of(answer: httpx.Response) -> str:
    found = re.search(r'<html lang="([^"]+)">', answer.text)
    assert found is not None and answer.headers["content-language"] == found[1]
    varies = {each.strip().lower() for each in answer.headers["vary"].split(",")}
    assert {"accept-language", "cookie"} <= varies
    assert f"<h1>{HEADINGS[found[1]]}</h1>" in answer.text
    return found[1]


@pytest.mark.parametrize(
    ("header", "expected"),
    [(None, "en"), ("pt-PT,en;q=0.5", "pt-BR"), ("fr-CA", "fr"), ("ja,de;q=0.9", "en"), ("en-US,pt;q=0.9", "en")],
)
def test_the_browser_chooses(browser_of: httpx.Client, header: str | None, expected: str) -> None:
    headers = {} if header is None else {"accept-language": header}
    assert language_of(browser_of.get("/console/", headers=headers)) == expected


def test_the_switch_is_kept_above_the_browser_s_choice(browser_of: httpx.Client) -> None:
    page = browser_of.get("/console/", headers={"accept-language": "fr"})
    for tag in HEADINGS:
        assert f'<button name="language" value="{tag}" lang="{tag}"' in page.text
    form = {"language": "pt-BR", "next": "/console/create?x=1"}
    answer = browser_of.post("/console/language", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/create?x=1")
    kept = answer.headers["set-cookie"].lower()
    assert "httponly" in kept and "samesite=lax" in kept and "max-age=31536000" in kept and "secure" not in kept
    assert language_of(browser_of.get("/console/", headers={"accept-language": "fr"})) == "pt-BR"


@pytest.mark.parametrize("tag", ["", "de", "<script>", "x" * 5000, "../en"])
def test_another_language_is_not_kept(browser_of: httpx.Client, tag: str) -> None:
    answer = browser_of.post("/console/language", data={"language": tag, "next": "/console/"})
    assert answer.status_code == 303 and "set-cookie" not in answer.headers
    cookie = {"cookie": f"gantry-language={tag[:100]}"} if tag.isascii() else {}
    assert language_of(browser_of.get("/console/", headers={"accept-language": "fr"} | cookie)) == "fr"


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "", "/\\evil"])
def test_the_switch_leads_to_this_server_alone(browser_of: httpx.Client, target: str) -> None:
    answer = browser_of.post("/console/language", data={"language": "fr", "next": target})
    assert answer.headers["location"] == "/console/"


def test_who_signs_in_may_choose_too(guarded: Guarded) -> None:
    with httpx.Client(base_url=guarded.server.url) as client:
        page = client.get("/sign-in?next=/console/create", headers={"accept-language": "pt"})
        assert 'lang="pt-BR"' in page.text and "Fazer login no Gantry" in page.text
        assert 'value="/sign-in?next=%2Fconsole%2Fcreate"' in page.text
        client.post("/console/language", data={"language": "fr", "next": "/sign-in"}, headers=OWN)
        wrong = client.post("/sign-in", data={"token": "no"}, headers=OWN | {"accept-language": "pt"})
    assert wrong.status_code == 401 and "Ce jeton n&#39;est pas connu ici" in wrong.text


def test_no_other_site_switches_the_language(guarded: Guarded) -> None:
    headers = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    answer = signed_in(guarded, "bob").post("/console/language", data={"language": "fr"}, headers=headers)
    assert answer.status_code == 403 and "set-cookie" not in answer.headers


def test_an_error_of_the_api_is_english_in_a_page_of_another_language(gantry: Gantry) -> None:
    address = f"/console/{gantry.location}/datasets/none"
    page = gantry.server.client.get(address, headers={"accept-language": "pt"})
    assert page.status_code == 404 and "<h1>Não encontrado</h1>" in page.text
    assert re.search(r'<p lang="en">[^<]*none', page.text)
    english = gantry.server.client.get(address)
    assert 'lang="en">' in english.text and '<p lang="en">' not in english.text


def test_a_program_gets_english(gantry: Gantry) -> None:
    address = f"/console/{gantry.store}/studies/1.2/download.zip"
    answer = gantry.server.client.get(address, headers={"accept-language": "fr", "accept": "*/*"})
    assert answer.status_code == 404 and "has no" in answer.json()["error"]["message"]


def test_the_word_that_deletes_is_the_language_s_or_english(gantry: Gantry) -> None:
    stores = [gantry.new_store(f"store-{number}") for number in range(3)]
    french = {"accept-language": "fr"}
    page = gantry.server.client.get(f"/console/{stores[0]}/delete", headers=french)
    assert "Saisissez <code>supprimer</code> pour confirmer" in page.text
    for store, word in zip(stores, ("Supprimer", "delete", "excluir"), strict=True):
        answer = gantry.server.client.post(f"/console/{store}/delete", data={"confirm": word}, headers=french)
        assert answer.status_code == (400 if word == "excluir" else 303), word
