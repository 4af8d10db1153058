"""The plan of the house, held by reading what imports what."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import gantry

SOURCE = Path(gantry.__file__).parent
MAX_FILE_LINES = 450
MAX_FUNCTION_LINES = 60

# Room → its modules. A name ending in a dot stands for everything below.
ROOMS = {
    "words": (
        *("errors", "names", "queries", "resources", "log_entries", "matching", "merging", "moments", "header_packs"),
        *("short_members",),
        *("json_patch", "json_text", "operation_state", "whole_numbers"),
        *("storage.uris", "storage.extents", "dicom.forms", "iam."),
    ),
    "seams": ("seams", "index_protocols.", "system_errors"),
    "dicom": ("dicom.",),
    "verbs": ("ingest", "containment", "describing", "operations.", "studies."),
    "storage": ("storage.",),
    "index": ("index.",),
    "executors": ("executors",),
    "access": ("access.",),
    "api": ("api.",),
    "console": ("console.",),
    "door": ("", "__main__", "cli", "config", "connections", "listening", "server", "demo", "client.", "settings."),
}
# Room → rooms that it may import, besides itself. The door may import all.
ARROWS = {
    "words": (),
    "seams": ("words",),
    "dicom": ("words", "seams"),
    "verbs": ("words", "seams", "dicom"),
    "storage": ("words", "seams"),
    "index": ("words", "seams"),
    "executors": ("words", "seams"),
    "access": ("words", "seams"),
    "api": ("words", "seams", "verbs"),
    "console": ("words", "seams", "dicom", "verbs", "api"),
    "door": tuple(ROOMS),
}
# The version of Gantry goes into what it writes.
EXCEPTIONS = {("dicom.file_meta", "", "__version__")}
PARTS = {"SqlIndex": "index.sql", "LocalBlobStore": "storage.local", "WorkerPool": "executors"}
# Modules that need an extra. All others must start without, so these are imported only where they are called.
NEED_EXTRAS = {
    *(f"dicom.{name}" for name in ("cells", "codecs", "colour", "encoders", "icons", "rendering")),
    *(f"dicom.{name}" for name in ("look_up_tables", "palettes", "rle_segments", "windows")),
    *(f"access.{name}" for name in ("endpoint", "issuer", "oidc", "service_accounts", "sign_in", "signed_tokens")),
}
EXTRAS = ("numpy", "imagecodecs", "openjpeg", "rle", "PIL", "jwt", "cryptography")
CIRCLES: set[frozenset[str]] = set()
"""Circles of modules that are still to be cut; none may be added."""

PURE = {
    *("__future__", "abc", "base64", "collections", "contextlib", "dataclasses", "datetime", "enum", "functools"),
    *("hashlib", "operator"),
    *("itertools", "json", "math", "re", "struct", "types", "typing", "unicodedata", "urllib.parse", "zstandard"),
}


@dataclass(frozen=True)
class Import:
    """``importer`` (without ``gantry.``) imports ``name`` from ``module``, or ``module`` itself."""

    importer: str
    module: str
    name: str
    type_only: bool

    def __str__(self) -> str:
        return f"{self.importer} imports {self.module}" + (f".{self.name}" if self.name else "")


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): ast.parse(path.read_text(encoding="utf-8"), str(path))
    for path in sorted(SOURCE.rglob("*.py"))
    if "migrations" not in path.parts
}


def imports(importer: str, node: ast.AST, type_only: bool = False) -> Iterator[Import]:
    """Every import of a module, inside functions too; those under ``if TYPE_CHECKING`` are marked."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(importer, alias.name, "", type_only)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{importer}: write imports in full"
        for alias in node.names:
            below = f"{node.module}.{alias.name}"
            if below.startswith("gantry.") and below[7:] in MODULES:
                yield Import(importer, below, "", type_only)
            else:
                yield Import(importer, str(node.module), alias.name, type_only)
    elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        for child in node.body:
            yield from imports(importer, child, True)
        for child in node.orelse:
            yield from imports(importer, child, type_only)
    else:
        for child in ast.iter_child_nodes(node):
            yield from imports(importer, child, type_only)


ALL = [found for name, tree in MODULES.items() for found in imports(name, tree)]
OURS = [found for found in ALL if found.module.split(".")[0] == "gantry"]


def target(found: Import) -> str:
    return found.module.removeprefix("gantry").removeprefix(".")


def room(module: str) -> str:
    for name, members in ROOMS.items():
        for member in members:
            package = member.endswith(".") and f"{module}.".startswith(member)
            if module == member or package:
                return name
    raise AssertionError(f"{module} stands in no room: give it a place in ROOMS")


def test_every_module_has_a_room() -> None:
    packages = {name for name in MODULES if any(other.startswith(f"{name}.") for other in MODULES)}
    for name in MODULES.keys() - packages:
        assert room(name)
    assert len(MODULES) > 30


@pytest.mark.parametrize("name", ROOMS)
def test_arrows(name: str) -> None:
    allowed = (name, *ARROWS[name])
    wrong = [
        str(found)
        for found in OURS
        if room(found.importer) == name
        and not found.type_only
        and room(target(found)) not in allowed
        and (found.importer, target(found), found.name) not in EXCEPTIONS
    ]
    assert wrong == []


def test_for_types_alone_no_module_looks_at_a_wall() -> None:
    wrong = [
        str(found)
        for found in OURS
        if found.type_only and room(target(found)) not in (room(found.importer), *ARROWS[room(found.importer)])
    ]
    assert wrong == []


def test_words_use_nothing_that_reads_or_writes() -> None:
    pure = {name for name in MODULES if name and room(name) == "words"}
    wrong = [
        str(found)
        for found in ALL
        if found.importer in pure and not {found.module, found.module.split(".")[0]} & (PURE | {"gantry"})
    ]
    assert wrong == []
    calls = [
        f"{name}: {ast.unparse(node)}"
        for name in pure
        for node in ast.walk(MODULES[name])
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("open", "print", "input", "exec", "eval")
    ]
    assert calls == []


@pytest.mark.parametrize("part", PARTS)
def test_only_the_wiring_names_the_parts(part: str) -> None:
    named = {found.importer for found in OURS if found.name == part and not found.type_only}
    assert {importer for importer in named if room(importer) != room(PARTS[part])} == {"config"}


def test_what_talks_sql_stands_in_the_index() -> None:
    wrong = [
        str(found)
        for found in ALL
        if found.module.split(".")[0] in ("sqlalchemy", "alembic", "sqlite3") and room(found.importer) != "index"
    ]
    assert wrong == []


def test_what_talks_http_stands_in_the_api_the_console_or_at_the_door() -> None:
    """``access`` asks issuers for their keys and tokens."""
    libraries = ("starlette", "uvicorn", "pydantic", "httpx")
    wrong = [
        str(found)
        for found in ALL
        if found.module.split(".")[0] in libraries
        and room(found.importer) not in ("api", "console", "door")
        and not (room(found.importer) == "access" and found.module == "httpx")
    ]
    assert wrong == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports for types alone and inside functions count: whoever reads one module of a circle has to read them all."""
    graph: dict[str, set[str]] = {name: set() for name in MODULES}
    for found in OURS:
        graph[found.importer].add(target(found))
    assert _circles(graph) == CIRCLES


def _circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """The largest sets of modules that all reach each other."""
    reach = {name: _reachable(graph, name) for name in graph}
    circles = {frozenset(other for other in reach[name] if name in reach[other]) for name in graph}
    return circles - {frozenset()}


def _reachable(graph: dict[str, set[str]], name: str) -> set[str]:
    reached: set[str] = set()
    waiting = list(graph[name])
    while waiting:
        if (module := waiting.pop()) not in reached:
            reached.add(module)
            waiting += graph.get(module, ())
    return reached


def test_what_an_import_runs_through_never_loads_pydicom_or_a_codec() -> None:
    libraries = ("pydicom", "numpy", "imagecodecs", "openjpeg", "rle", "PIL")
    loading = {found.importer for found in ALL if found.module.split(".")[0] in libraries}
    hot = {*(f"dicom.{name}" for name in ("part10", "walk", "elements", "tags", "vr", "buffers", "deflated", "forms"))}
    assert not loading & hot
    assert {importer for importer in loading if room(importer) != "dicom"} <= {"demo", "client.samples"}


def at_start(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when a module is imported: all but the bodies of functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield child
            if not isinstance(child, ast.If) or ast.unparse(child.test) != "TYPE_CHECKING":
                yield from at_start(child)


def test_without_extras_every_other_module_can_be_imported() -> None:
    """``tests/docs/test_wheel.py`` shows it with an installation that has none."""
    wrong = [
        str(found)
        for name in MODULES.keys() - NEED_EXTRAS
        for node in at_start(MODULES[name])
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for found in imports(name, node)
        if found.module.split(".")[0] in EXTRAS or target(found) in NEED_EXTRAS
    ]
    assert sorted(wrong) == []


def test_files_can_be_read_in_one_sitting() -> None:
    lengths = {str(path.relative_to(SOURCE)): len(path.read_text().splitlines()) for path in SOURCE.rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > MAX_FILE_LINES} == {}


def test_functions_fit_on_a_screen() -> None:
    lengths = {
        f"{path.relative_to(SOURCE)}: {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    assert len(lengths) > 200
    assert {name: length for name, length in lengths.items() if length > MAX_FUNCTION_LINES} == {}
