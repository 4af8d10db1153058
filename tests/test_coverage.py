"""The method table is the DICOM part of the API, the whole of it and nothing else; docs/coverage.md tells the same.

``GANTRY_WRITE_DOCS=1 pytest tests/test_coverage.py`` writes the page again.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import googleapiclient
import pytest

from gantry.api.methods import METHODS, ApiMethod
from gantry.console.app import FORMS, PAGES

DOCUMENTS = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "coverage.md"
# What the how-to pages on import and export show, and the test that does it with only host and names changed.
SAMPLES = (
    ("import", "gcloud", "clients/test_gcloud.py", "test_import_and_describe_as_the_pages_show_them"),
    ("import", "curl, body in a file", "pages/test_curl.py", "test_import_from_a_request_file"),
    ("import", "curl, body inline", "pages/test_curl.py", "test_import_of_a_wildcard"),
    ("import", "PowerShell, body in a file", "pages/test_powershell.py", "test_import_from_a_request_file"),
    ("import", "PowerShell, body inline", "pages/test_powershell.py", "test_import_of_a_wildcard"),
    ("import with a storage class", "curl", "pages/test_curl.py", "test_import_with_a_storage_class"),
    ("import with a storage class", "PowerShell", "pages/test_powershell.py", "test_import_from_a_request_file"),
    ("import and export", "Go (wire form)", "clients/test_go.py", "test_import_poll_export_patch_and_errors"),
    ("import and export", "Java (wire form)", "clients/test_java.py", "test_gzip_chunks_override_and_accept"),
    ("import and export", "Node.js", "clients/test_node.py", "test_import_poll_export_and_errors"),
    ("import and export", "Python", "clients/test_python.py", "test_import_and_export"),
    ("export", "gcloud", "clients/test_gcloud.py", "test_export"),
    ("export", "curl", "pages/test_curl.py", "test_export"),
    ("export", "PowerShell", "pages/test_powershell.py", "test_export"),
    (
        *("export with a filter", "gcloud beta", "clients/test_gcloud.py"),
        "test_beta_export_with_a_filter_and_describe_through_ga",
    ),
    ("export with a filter", "curl", "pages/test_curl.py", "test_export_with_the_filter_file_of_the_page"),
    (
        *("export with a filter", "PowerShell (400)", "pages/test_powershell.py"),
        "test_export_with_a_filter_lacks_a_brace_and_is_refused",
    ),
    (
        "reading the error log",
        "gcloud logging read",
        "clients/test_gcloud_logging.py",
        "test_the_newest_errors_as_json",
    ),
    ("import", "console", "console/test_walk.py", "test_importing_as_the_how_to_tells"),
    ("export", "console", "console/test_walk.py", "test_exporting_as_the_how_to_tells"),
)
OTHER_STORES = {"annotationStores", "consentStores", "dataMapperWorkspaces", "fhirStores", "hl7V2Stores"}


def discovered(version: str) -> set[tuple[str, str, str]]:
    """(id, verb, path) of every DICOM method in a discovery document, ids in paths replaced by ``*``."""
    document = json.loads((DOCUMENTS / f"healthcare.{version}.json").read_text())
    locations = document["resources"]["projects"]["resources"]["locations"]
    found = set()
    for id, method in _methods("", locations):
        top, _, rest = id.partition(".")
        if top in ("get", "list", "datasets") and rest.split(".")[0] not in OTHER_STORES:
            path = re.sub(r"\{[^}]*\}", "*", method["flatPath"]).removeprefix(f"{version}/")
            found |= {(id, method["httpMethod"], each) for each in _written_out(path)}
    return found


def _written_out(path: str) -> list[str]:
    """Two methods hide slashes in their last id (their patterns end in ``/.*``); we write out what it may hold."""
    if path.endswith("/bulkdata/*/*"):
        return [path.removesuffix("*/*") + "**"]
    head, verb, tail = path.partition(":setBlobStorageSettings")
    if verb and head.endswith("/studies/*"):
        return [head + level + verb + tail for level in ("", "/series/*", "/series/*/instances/*")]
    return [path]


def _methods(prefix: str, resource: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, method in resource.get("methods", {}).items():
        yield prefix + name, method
    for name, below in resource.get("resources", {}).items():
        yield from _methods(f"{prefix}{name}.", below)


def table(version: str) -> set[tuple[str, str, str]]:
    """(id, verb, path) of our own methods."""
    return {(method.id, method.verb, method.path) for method in METHODS if version in method.versions}


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_the_table_holds_exactly_the_dicom_methods_of_the_discovery_document(version: str) -> None:
    assert table(version) == discovered(version)


def test_every_method_is_in_v1beta1_and_its_alias() -> None:
    """§2.4"""
    for method in METHODS:
        assert {"v1beta1", "v1alpha2"} <= set(method.versions), method.id


def test_permissions_are_named_as_the_api_does() -> None:
    """§3: one for every method but testIamPermissions."""
    for method in METHODS:
        if method.id.endswith("testIamPermissions"):
            assert method.permission == ""
        else:
            assert re.fullmatch(
                r"healthcare\.(locations|datasets|operations|dicomStores)\.[a-zA-Z]+", method.permission
            )


SERVICES = {
    "searchFor": "search",
    "storeInstances": "store",
    "updateMetadata": "update_metadata",
    "update": "update",
    "retrieveMetadata": "metadata",
    "retrieveFrames": "frames",
    "retrieveRendered": "rendered",
    "retrieveBulkdata": "bulkdata",
    "retrieve": "retrieve",
}
"""How the names of methods begin, and which file of ``tests/dicomweb`` is about them; the first that fits."""


def file_of(method: ApiMethod) -> str:
    """Where a method is tested: ``datasets.dicomStores.import`` in ``tests/api/test_dicom_stores_import.py``; those of
    DICOMweb by service."""
    verb = method.id.rpartition(".")[2]
    if "Iam" in verb:
        return "tests/iam/test_policies.py"
    for names, service in SERVICES.items():
        if verb.startswith(names):
            return f"tests/dicomweb/test_{service}.py"
    parts = method.id.split(".") if "." in method.id else ["locations", method.id]
    for outer in ("dicomStores", "operations"):
        if outer in parts[1:-1]:
            parts = parts[parts.index(outer) :]
    snake = [re.sub(r"(?<=[a-z])([A-Z])", r"_\1", part).lower() for part in parts]
    return f"tests/api/test_{'_'.join(snake)}.py"


def test_every_method_that_is_there_has_a_test_file() -> None:
    for method in METHODS:
        assert method.handler is None or (ROOT / file_of(method)).is_file(), file_of(method)


def test_every_sample_of_the_pages_has_its_test() -> None:
    for _, _, file, test in SAMPLES:
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(), f"{file}: {test}"


def page() -> str:
    everything = {method.id for method in METHODS}
    there = {method.id for method in METHODS if method.handler is not None}
    lines = [
        "# Coverage",
        "",
        "The methods of the DICOM part of the API. Their ids begin with `healthcare.projects.locations.`; `*` in a",
        "path is an id, `**` one that may hold slashes. `v1alpha2` is an alias of `v1beta1`. A method that is not",
        "implemented answers `501 UNIMPLEMENTED`.",
        "",
        f"{len(there)} of {len(everything)} are implemented.",
        "",
        "| method | HTTP | path | versions | permission | implemented | tests |",
        "|---|---|---|---|---|---|---|",
    ]
    for method in METHODS:
        versions = " ".join(version for version in method.versions if version != "v1alpha2")
        permission = f"`{method.permission}`" if method.permission else "none"
        file = file_of(method)
        answer = f"yes | [{Path(file).name}](../{file})" if method.handler else "no | "
        lines.append(f"| {method.id} | {method.verb} | `{method.path}` | {versions} | {permission} | {answer} |")
    lines += ["", "## Samples of the how-to pages", "", "| section | sample | test |", "|---|---|---|"]
    for section, sample, file, test in SAMPLES:
        lines.append(f"| {section} | {sample} | [{test}](../tests/{file}) |")
    lines += [
        "",
        "## Pages of the console",
        "",
        "| address below `/console/` | shows | takes a form |",
        "|---|---|---|",
    ]
    for path in dict.fromkeys((*PAGES, *FORMS)):
        lines.append(f"| `{path or '(the list of datasets)'}` | {_yes(path in PAGES)} | {_yes(path in FORMS)} |")
    lines += ["", "Written by `GANTRY_WRITE_DOCS=1 pytest tests/test_coverage.py`."]
    return "\n".join(lines) + "\n"


def _yes(holds: bool) -> str:
    return "yes" if holds else ""


def test_the_page_is_up_to_date() -> None:
    if os.environ.get("GANTRY_WRITE_DOCS") == "1":
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page())
    assert PAGE.read_text() == page(), "write it again: GANTRY_WRITE_DOCS=1 pytest tests/test_coverage.py"
