"""Paths → methods: literals before ids, custom verbs, versions; and what pages do beside the API."""

from __future__ import annotations

import pytest

from gantry.api import methods
from gantry.api.methods import instead_of, route
from gantry.api.paths import page_path, segments_of
from gantry.errors import InvalidArgument, MethodNotAllowed, NotFound

STORES = "projects/p/locations/l/datasets/d/dicomStores"
STUDY = f"{STORES}/s/dicomWeb/studies/1"
PLACE = ("p", "l", "d", "s")
OF_STUDIES = "datasets.dicomStores.studies"
FRAMES = "series/2/instances/3/frames"


def routed(verb: str, path: str, version: str = "v1") -> tuple[str, tuple[str, ...]]:
    method, ids = route(verb, version, path.split("/"))
    return method.id, ids


@pytest.mark.parametrize(
    ("verb", "path", "name", "ids"),
    [
        ("GET", "projects/a:b/locations", "list", ("a:b",)),
        ("GET", STORES, "datasets.dicomStores.list", PLACE[:3]),
        ("GET", f"{STORES}/s", "datasets.dicomStores.get", PLACE),
        ("DELETE", f"{STORES}/s:", "datasets.dicomStores.delete", (*PLACE[:3], "s:")),
        ("POST", f"{STORES}/s:import", "datasets.dicomStores.import", PLACE),
        ("POST", f"{STORES}/s/:import", "datasets.dicomStores.import", PLACE),
        ("GET", f"{STORES}/s:import", "datasets.dicomStores.get", (*PLACE[:3], "s:import")),
        ("POST", f"{STORES}/a:b:import", "datasets.dicomStores.import", (*PLACE[:3], "a:b")),
        ("POST", "projects/a:b:getIamPolicy", "projects.getIamPolicy", ("a:b",)),
        ("GET", f"{STUDY}/thumbnail", "retrieveThumbnail", (*PLACE, "1")),
        ("GET", f"{STUDY}/{FRAMES}/4/thumbnail", "retrieveThumbnail", (*PLACE, "1", "2", "3", "4")),
    ],
)
def test_a_path_leads_to_a_method_and_its_ids(verb: str, path: str, name: str, ids: tuple[str, ...]) -> None:
    assert routed(verb, path) == (name, ids)


def test_bulk_data_has_a_path_of_any_length() -> None:
    name, ids = routed("GET", f"{STUDY}/series/2/instances/3/bulkdata/00081140/0/7FE00010")
    assert name.endswith("retrieveBulkdata") and ids == (*PLACE, "1", "2", "3", "00081140/0/7FE00010")
    name, ids = routed("GET", f"{STUDY}/series/2/instances/3/bulkdata/7FE00010/")
    assert ids[-1] == "7FE00010/"


@pytest.mark.parametrize(
    ("verb", "path", "version"),
    [
        ("GET", f"{STORES}/", "v1"),
        ("GET", f"{STORES}//dicomWeb/studies", "v1"),
        ("GET", f"{STORES}/s/dicomweb/studies", "v1"),
        ("PUT", f"{STORES}/s", "v1"),
        ("POST", f"{STORES}/s:Import", "v1"),
        ("POST", f"{STORES}/s/x/:import", "v1"),
        ("POST", "projects/p:getIamPolicy", "v1beta1"),
        ("GET", f"{STORES}/s", "v2"),
        ("GET", f"{STUDY}/*", "v1"),
    ],
)
def test_other_paths_lead_nowhere(verb: str, path: str, version: str) -> None:
    with pytest.raises(NotFound, match="no such method"):
        routed(verb, path, version)


ADDED = [
    *(("GET", f"{STORES}/s/dicomWeb{end}") for end in ("", "/", "/wado")),
    *(("OPTIONS", f"{STORES}/s/dicomWeb{end}") for end in ("", "/")),
    *(("GET", f"{STUDY}{below}/rendered") for below in ("", "/series/2")),
    *(
        ("GET", f"{STUDY}{below}/{name}")
        for below in ("", "/series/2", "/series/2/instances/3")
        for name in ("bulkdata", "pixeldata")
    ),
]
"""What the API does not have."""


@pytest.mark.parametrize(("verb", "path"), ADDED)
def test_what_is_added_to_the_api_is_not_there_in_strict_mode(verb: str, path: str) -> None:
    assert routed(verb, path)[1][:4] == PLACE
    with pytest.raises(NotFound, match="no such method"):
        route(verb, "v1", path.split("/"), strict=True)


def test_nothing_else_is_added_to_the_api() -> None:
    """The permissions of projects are another API's."""
    added = [each for each in methods.METHODS + methods.OWN if each.is_added]
    assert len(added) == len(ADDED)
    for each in set(methods.METHODS + methods.OWN) - set(added):
        path = each.path.replace("**", "1").replace("*", "1")
        assert route(each.verb, each.versions[0], path.split("/"), strict=True)[0] == each


def test_a_path_of_dicomweb_names_the_methods_that_it_has() -> None:
    with pytest.raises(MethodNotAllowed, match="no such method") as caught:
        routed("PUT", f"{STORES}/s/dicomWeb/studies", "v1")
    assert caught.value.allowed == ("GET", "HEAD", "POST", "OPTIONS")


def test_previews_of_the_api_have_more_methods() -> None:
    path = f"{STORES}/s/dicomWeb/studies"
    assert [routed("PUT", path, version) for version in ("v1beta1", "v1alpha2")] == [routed("PUT", path, "v1beta1")] * 2


def test_what_is_not_implemented_says_what_to_do_instead() -> None:
    store, _ = route("POST", "v1", f"{STORES}/s:deidentify".split("/"))
    other, _ = route("GET", "v1", f"{STORES}/s".split("/"))
    assert "de-identify the files before" in instead_of(store) and instead_of(other) == "leave this call out"


def test_what_pages_do_has_a_name_for_the_audit_log() -> None:
    """Whoever reads the log searches for these."""
    own = (methods.SHOW_PAGE, methods.SIGN_IN, methods.SIGN_OUT, methods.GIVE_TOKEN, methods.LIST_DATASETS)
    assert [(each.id, each.verb, each.path, each.permission) for each in own] == [
        ("gantry.showPage", "GET", "pages", ""),
        ("gantry.signIn", "POST", "sign-in", ""),
        ("gantry.signOut", "POST", "sign-out", ""),
        ("gantry.giveToken", "POST", "token", ""),
        ("datasets.list", "GET", "datasets", ""),
    ]
    preview = methods.PREVIEW_IMPORT
    assert (preview.id, preview.permission) == ("datasets.dicomStores.previewImport", "healthcare.dicomStores.import")


@pytest.mark.parametrize(
    ("raw", "segments", "of_page"),
    [
        (b"/v1/a%3Ab", ["v1", "a:b"], ["a:b"]),
        (b"/console/x/", ["console", "x", ""], ["x"]),
        (b"/console/", ["console", ""], []),
        (b"/", [""], []),
        (b"/v1/%C3%A9", ["v1", "é"], ["é"]),
    ],
)
def test_segments_are_decoded_one_by_one(raw: bytes, segments: list[str], of_page: list[str]) -> None:
    scope = {"raw_path": raw, "path": "/not/this"}
    assert (segments_of(scope), page_path(scope)) == (segments, of_page)
    assert segments_of({"path": raw.decode()}) == segments


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"/v1/a/../b", NotFound),
        (b"/v1/%2E%2e", NotFound),
        (b"/v1/./b", NotFound),
        (b"/v1//b", NotFound),
        (b"/v1/a//", NotFound),
        (b"/v1/a%2Fb", InvalidArgument),
        (b"/v1/a%00", InvalidArgument),
        (b"/v1/a%0Ab", InvalidArgument),
        (b"/v1/%FF", InvalidArgument),
    ],
)
def test_a_path_that_others_would_read_in_another_way_is_refused(raw: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        segments_of({"raw_path": raw, "path": "/"})
