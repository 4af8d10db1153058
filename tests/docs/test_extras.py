"""Each extra, installed from the wheel into an empty environment, and the first example of its page."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.dicomweb.instances import packaged
from tests.docs.test_howto import commands
from tests.docs.test_postgresql_page import PAGE as POSTGRESQL
from tests.docs.test_readme import shell
from tests.support.dicom import make_instance
from tests.support.postgresql import PostgresServer, require
from tests.support.providers import serve_provider
from tests.support.wheel import build_wheel, install_wheel

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(600)]
COMPILE = """unset PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE
python -m compileall -q -j 2 "$(python -c 'import gantry; print(gantry.__path__[0])')"
"""
"""As pip does by itself; `install_wheel` leaves it out."""
START = "gantry serve --buckets buckets &\ngantry wait-ready\n"
FILL = "gantry stores create hospital/ct\ngantry upload files --store hospital/ct\n"
CHECKED = "gantry export gs://out/all --store hospital/ct\n"
SUCCESS = r"export: 1 succeeded"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home but for one file and two buckets."""
    for name in ("files", "buckets/out", "buckets/incoming"):
        (tmp_path / "home" / name).mkdir(parents=True)
    (tmp_path / "home" / "files" / "a.dcm").write_bytes(packaged("CT_small.dcm"))
    return tmp_path / "home"


def run(wheel: Path, extra: str, script: str, home: Path, expected: str) -> None:
    """With nothing of the environment of the tests."""
    scripts = install_wheel(Path(f"{wheel}[{extra}]"), home.parent / "venv")
    done = shell(COMPILE + script, home, str(scripts), seconds=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(expected, done.stdout), done.stdout + done.stderr


def test_demo(wheel: Path, home: Path) -> None:
    run(wheel, "demo", "sleep 300 &\ngantry demo --port $GANTRY_PORT < /dev/null\n", home, "identical, byte for byte")


def test_auth(wheel: Path, home: Path) -> None:
    (create,) = [block for block in commands("access.md") if "service-accounts create" in block]
    run(wheel, "auth", f"sleep 300 &\n{create}cat pacs.json\n", home, '"private_key"')


def test_pixels(wheel: Path, home: Path) -> None:
    (forms,) = [block for block in commands("export.md") if "image/png" in block]
    forms = forms.replace("gs://incoming/", "gs://out/")
    run(wheel, "pixels", START + FILL + forms + "ls -R buckets/out\n", home, r"\.png")


@pytest.mark.parametrize("extra", ["s3", "gcs", "azure"])
def test_buckets_of_a_provider(wheel: Path, home: Path, extra: str) -> None:
    with serve_provider(extra) as served:
        address = served.buckets.make_bucket()
        served.buckets.put(address, {"a.dcm": make_instance()})
        (home / "gantry.toml").write_text(served.buckets.settings)
        check = f"gantry buckets check {address} --write --config gantry.toml\n"
        importing = f"gantry stores create hospital/ct\ngantry import '{address}/**' --store hospital/ct\n"
        script = check + START.replace("serve", "serve --config gantry.toml") + importing
        run(wheel, extra, script, home, "import: 1 succeeded")


def test_postgresql(wheel: Path, home: Path) -> None:
    require()
    (settings,) = re.findall(r"```toml\n(.*?)```", POSTGRESQL, re.DOTALL)
    server = PostgresServer()
    try:
        address = f"postgresql://gantry@/postgres?host={server.directory}"
        settings = re.sub(r"^database = .*$", f'database = "{address}"', settings, flags=re.MULTILINE)
        (home / "gantry.toml").write_text(settings.replace("/srv/gantry", f"{home}/data"))
        script = START.replace("serve", "serve --config gantry.toml") + FILL + CHECKED
        run(wheel, "postgresql", script, home, SUCCESS)
    finally:
        server.close()


def test_tables(wheel: Path, home: Path) -> None:
    settings, export, *_ = commands("tables.md")
    settings = re.sub(r"^pip install .*\n", "", settings.replace("/srv/tables", f"{home}/tables"), flags=re.MULTILINE)
    wait = "until [ -e tables/my_dataset.duckdb ]; do sleep 0.2; done\n"
    (query, *_) = [block for block in commands("query.md") if "GROUP BY Modality" in block]
    script = settings + FILL + export + wait + query.partition("\n")[0] + "\n"
    run(wheel, "tables", script, home, r"CT +1\b")


def test_bigquery(wheel: Path, home: Path) -> None:
    """There is no BigQuery here: its libraries are found, and a server with a project of it starts."""
    projects = """export GANTRY_BIGQUERY_PROJECTS='[{"project": "p", "endpoint": "http://127.0.0.1:9"}]'\n"""
    run(wheel, "bigquery", projects + START + FILL + CHECKED, home, SUCCESS)


@contextmanager
def free_port() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    yield port


def test_dask(wheel: Path, home: Path) -> None:
    with free_port() as port:
        cluster = f"dask scheduler --host 127.0.0.1 --port {port} --no-dashboard & scheduler=$!\n"
        cluster += f"export GANTRY_EXECUTOR=dask://127.0.0.1:{port}\n"
        cluster += "sleep 5\ngantry worker --processes 1 & worker=$!\n"
        end = "server=$!\ntrap 'kill $server $worker $scheduler; wait' EXIT\n"
        run(wheel, "dask", cluster + START + end + FILL + CHECKED, home, SUCCESS)


def test_docs(wheel: Path, home: Path) -> None:
    """``test_site.py`` builds the pages."""
    run(
        wheel,
        "docs",
        "sleep 300 &\npython -c 'import furo, myst_parser, sphinx; print(sphinx.__version__)'\n",
        home,
        r"^\d",
    )


def test_no_extra_is_forgotten() -> None:
    """Ray is too large to install for a test; ``dev`` is what runs these."""
    import tomllib

    from tests.support.wheel import ROOT

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].keys()
    tried = {"demo", "auth", "pixels", "s3", "gcs", "azure", "postgresql", "tables", "bigquery", "dask", "docs"}
    assert extras == tried | {"ray", "dev"}
