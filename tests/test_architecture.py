"""The layers of ARCHITECTURE.md, checked by reading the imports of all modules."""

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

# Layer → its modules. A name ending in a dot means the whole package.
LAYERS = {
    "domain": (
        *(
            "errors",
            "names",
            "reasons",
            "queries",
            "resources",
            "log_entries",
            "matching",
            "merging",
            "moments",
            "header_packs",
            "holdings",
            "languages",
        ),
        *("checkpoints", "checksums", "findings", "rests", "late_writes", "live_servers", "short_members"),
        *("table_address", "table_schema"),
        *("counters", "events", "histogram", "json_patch", "json_text", "operation_state", "sizes", "whole_numbers"),
        *("storage.uris", "storage.extents", "dicom.forms", "iam."),
    ),
    "ports": (
        *(
            "seams",
            "worker_calls",
            "backoff",
            "membership",
            "asked_aside",
            "beats",
            "calls_ahead",
            "calls_that_hang",
            "index_protocols.",
            "notices",
            "followed",
            "pauses",
            "request_deadlines",
            "request_times",
        ),
        *("durable_files", "query_seams", "system_errors", "table_seams"),
    ),
    "dicom": ("dicom.", "tables."),
    "services": (
        *("ingest", "containment", "describing", "stored_bytes", "healing"),
        *("operations.", "studies.", "checking.", "querying."),
    ),
    "storage": ("storage.",),
    "index": ("index.",),
    "executors": ("executors", "engines."),
    "access": ("access.",),
    "notifications": ("notifications.",),
    "api": ("api.",),
    "console": ("console.",),
    "entry points": (
        "",
        "__main__",
        "cli",
        "bucket_wiring",
        "index_copies",
        "libraries",
        "index_wiring",
        "access_wiring",
        "key_wiring",
        "config",
        "facts_wiring",
        "disk_room",
        "engine_wiring",
        "closing",
        "connections",
        "heaps",
        "notification_wiring",
        "listening",
        "metrics.",
        "server",
        "demo",
        "generation_checks",
        "generations",
        "table_wiring",
        "client.",
        "settings.",
        "emulator.",
        "greeting",
        "port_file",
        "server_log",
        "pytest_plugin",
    ),
}
# Layer → layers that it may import, besides itself. Entry points may import all.
ALLOWED = {
    "domain": (),
    "ports": ("domain",),
    "dicom": ("domain", "ports"),
    "services": ("domain", "ports", "dicom"),
    "storage": ("domain", "ports"),
    "index": ("domain", "ports"),
    "executors": ("domain", "ports"),
    "access": ("domain", "ports"),
    "notifications": ("domain", "ports"),
    "api": ("domain", "ports", "services"),
    "console": ("domain", "ports", "dicom", "services", "api"),
    "entry points": tuple(LAYERS),
}
# The version of Gantry is written into files, and compared with that of workers.
EXCEPTIONS = {("dicom.file_meta", "", "__version__")} | {
    (f"engines.{name}", "", "__version__")
    for name in ("dask_worker", "local_calls", "ray_desk", "ray_worker", "roster", "workers")
}
ADAPTERS = {
    "SqlIndex": "index.sql",
    "LocalBlobStore": "storage.local",
    "LocalBlobs": "storage.local_blobs",
    "RemoteBucket": "storage.remote.bucket",
    "WorkerPool": "executors",
}
WIRING = {
    "SqlIndex": {"config", "index_wiring"},
    "LocalBlobStore": {"bucket_wiring"},
    "RemoteBucket": {"bucket_wiring"},
}
# Modules that need an extra. The others must work without, so these are imported only inside functions.
NEED_EXTRAS = {
    *(f"dicom.{name}" for name in ("annotations", "cells", "codecs", "colour", "encoders", "frame_profiles")),
    *(
        f"dicom.{name}"
        for name in ("icc_profiles", "look_up_tables", "palettes", "rendering", "rle_segments", "windows")
    ),
    *(f"storage.remote.{name}" for name in ("connections", "credentials", "proxies", "s3", "s3_clients")),
    *(f"storage.remote.gcs{part}" for part in ("", "_credentials", "_errors", "_http", "_machine", "_uploads")),
    *(f"storage.remote.azure{part}" for part in ("", "_credentials", "_digests", "_requests", "_tokens")),
    *(f"access.{name}" for name in ("endpoint", "issuer", "oidc", "service_accounts", "sign_in", "signed_tokens")),
    *(f"engines.dask_{part}" for part in ("link", "worker")),
    "engines.ray_client",
    *(f"storage.warehouse.{name}" for name in ("parquet", "views")),
    *(f"storage.sql.{name}" for name in ("lowering", "meanings", "packing", "parsing", "running")),
    *(f"storage.bigquery.{name}" for name in ("bigquery_stream", "bigquery_table", "clients", "errors", "schema")),
    *("index.postgresql", "index.postgresql_locks", "index.postgresql_reading"),
}
EXTRAS = (
    "dask",
    "distributed",
    "ray",
    "duckdb",
    "sqlglot",
    "psycopg",
    "obstore",
    "boto3",
    "botocore",
    "google",
    "urllib3",
    "numpy",
    "imagecodecs",
    "openjpeg",
    "rle",
    "PIL",
    "jwt",
    "cryptography",
)
CYCLES: set[frozenset[str]] = set()
"""Import cycles that still exist; none may be added."""

PURE = {
    *("__future__", "abc", "base64", "collections", "contextlib", "dataclasses", "datetime", "enum", "functools"),
    *("bisect", "hashlib", "operator"),
    *("contextvars", "gettext", "os.path"),  # of the texts of languages
    *(
        "itertools",
        "json",
        "math",
        "re",
        "struct",
        "types",
        "typing",
        "unicodedata",
        "urllib.parse",
        "zlib",
        "zstandard",
    ),
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
    """Every import of a module, also inside functions; those under ``if TYPE_CHECKING`` are marked."""
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
    elif isinstance(node, ast.If) and _is_for_types(node.test):
        for child in node.body:
            yield from imports(importer, child, True)
        for child in node.orelse:
            yield from imports(importer, child, type_only)
    else:
        for child in ast.iter_child_nodes(node):
            yield from imports(importer, child, type_only)


def _is_for_types(test: ast.expr) -> bool:
    """Whether a condition is ``TYPE_CHECKING`` or ``typing.TYPE_CHECKING``."""
    return isinstance(test, ast.Name | ast.Attribute) and ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


ALL = [found for name, tree in MODULES.items() for found in imports(name, tree)]
OURS = [found for found in ALL if found.module.split(".")[0] == "gantry"]


def target(found: Import) -> str:
    return found.module.removeprefix("gantry").removeprefix(".")


def layer_of(module: str) -> str:
    for name, members in LAYERS.items():
        for member in members:
            package = member.endswith(".") and f"{module}.".startswith(member)
            if module == member or package:
                return name
    raise AssertionError(f"{module} is in no layer: add it to LAYERS")


def test_every_module_is_in_a_layer() -> None:
    packages = {name for name in MODULES if any(other.startswith(f"{name}.") for other in MODULES)}
    for name in MODULES.keys() - packages:
        assert layer_of(name)
    assert len(MODULES) > 30


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_imports_only_the_layers_below_it(name: str) -> None:
    allowed = (name, *ALLOWED[name])
    wrong = [
        str(found)
        for found in OURS
        if layer_of(found.importer) == name
        and not found.type_only
        and layer_of(target(found)) not in allowed
        and (found.importer, target(found), found.name) not in EXCEPTIONS
    ]
    assert wrong == []


def test_imports_for_types_alone_follow_the_same_rules() -> None:
    wrong = [
        str(found)
        for found in OURS
        if found.type_only
        and layer_of(target(found)) not in (layer_of(found.importer), *ALLOWED[layer_of(found.importer)])
    ]
    assert wrong == []


def test_the_domain_neither_reads_nor_writes() -> None:
    pure = {name for name in MODULES if name and layer_of(name) == "domain"}
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


@pytest.mark.parametrize("part", ADAPTERS)
def test_only_the_wiring_names_the_adapters(part: str) -> None:
    named = {found.importer for found in OURS if found.name == part and not found.type_only}
    outside = {importer for importer in named if layer_of(importer) != layer_of(ADAPTERS[part])}
    assert outside == WIRING.get(part, {"config"})


def test_only_the_index_uses_sql() -> None:
    wrong = [
        str(found)
        for found in ALL
        if found.module.split(".")[0] in ("sqlalchemy", "alembic", "sqlite3")
        and layer_of(found.importer) != "index"
        and found.importer != "storage.remote.unsorted"  # a temporary file that sorts
    ]
    assert wrong == []


def test_only_api_console_and_entry_points_use_http() -> None:
    """Also ``access``, which fetches keys and tokens of issuers, and ``notifications``, which posts messages."""
    libraries = ("starlette", "uvicorn", "pydantic", "httpx")
    wrong = [
        str(found)
        for found in ALL
        if found.module.split(".")[0] in libraries
        and layer_of(found.importer) not in ("api", "console", "entry points")
        and not (layer_of(found.importer) in ("access", "notifications") and found.module == "httpx")
    ]
    assert wrong == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports for types alone and inside functions count too."""
    graph: dict[str, set[str]] = {name: set() for name in MODULES}
    for found in OURS:
        graph[found.importer].add(target(found))
    assert _cycles(graph) == CYCLES


def _cycles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """The largest sets of modules that all reach each other."""
    reach = {name: _reachable(graph, name) for name in graph}
    cycles = {frozenset(other for other in reach[name] if name in reach[other]) for name in graph}
    return cycles - {frozenset()}


def _reachable(graph: dict[str, set[str]], name: str) -> set[str]:
    reached: set[str] = set()
    waiting = list(graph[name])
    while waiting:
        if (module := waiting.pop()) not in reached:
            reached.add(module)
            waiting += graph.get(module, ())
    return reached


def test_an_import_loads_neither_pydicom_nor_a_codec() -> None:
    libraries = ("pydicom", "numpy", "imagecodecs", "openjpeg", "rle", "PIL")
    loading = {found.importer for found in ALL if found.module.split(".")[0] in libraries}
    hot = {*(f"dicom.{name}" for name in ("part10", "walk", "elements", "tags", "vr", "buffers", "deflated", "forms"))}
    assert not loading & hot
    assert {importer for importer in loading if layer_of(importer) != "dicom"} <= {"demo", "client.samples"}


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


def test_files_are_short() -> None:
    lengths = {str(path.relative_to(SOURCE)): len(path.read_text().splitlines()) for path in SOURCE.rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > MAX_FILE_LINES} == {}


def test_functions_are_short() -> None:
    lengths = {
        f"{path.relative_to(SOURCE)}: {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    assert len(lengths) > 200
    assert {name: length for name, length in lengths.items() if length > MAX_FUNCTION_LINES} == {}
