"""docs/howto/postgresql.md: its commands and its settings, with a real PostgreSQL and its programs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.test_readme import ROOT, shell
from tests.support.dicom import make_instance
from tests.support.postgresql import PostgresServer, find_programs, require

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs" / "howto" / "postgresql.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
(SETTINGS,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
STOP = "kill $!\nwait $!\nsleep 600 &\n"
FILL = "gantry stores create hospital/ct\ngantry upload files --store hospital/ct\n"


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgresServer]:
    require()
    made = PostgresServer()
    yield made
    made.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.dcm").write_bytes(make_instance())
    (tmp_path / "backup").mkdir()
    return tmp_path


def block(holding: str, home: Path, postgresql: PostgresServer) -> str:
    """One block, for the server of the test, whose users need no password."""
    (text,) = [each for each in (*BLOCKS, SETTINGS) if holding in each]
    text = re.sub(r"^pip install .*\n", "", text, flags=re.MULTILINE).replace("--pwprompt ", "")
    address = f"gantry@/gantry?host={postgresql.directory}"
    text = re.sub(r"gantry@db\.example\.org/gantry(\?[^\s\"]*)?", address, text)
    return text.replace("/srv/gantry", str(home / "data"))


def environment(postgresql: PostgresServer) -> str:
    return f"export PGHOST={postgresql.directory} PGUSER=gantry PATH={find_programs()}:$PATH\n"


def set_up(home: Path, postgresql: PostgresServer) -> str:
    """The user is that of the database already."""
    made = re.sub(r"^createuser .*\n", "", block("createdb", home, postgresql), flags=re.MULTILINE)
    return environment(postgresql) + "dropdb --if-exists gantry\n" + made


def test_a_server_its_backup_and_its_repair(home: Path, postgresql: PostgresServer) -> None:
    (home / "gantry.toml").write_text(block("database =", home, postgresql))
    done = shell(
        set_up(home, postgresql)
        + f"gantry serve --config gantry.toml &\n{FILL}"
        + block("pg_dump", home, postgresql)
        + STOP
        + block("gantry check", home, postgresql),
        home,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (home / "backup" / "gantry.dump").stat().st_size > 10_000
    assert not (home / "data" / "index.sqlite").exists()


def test_an_index_moves_there_and_back(home: Path, postgresql: PostgresServer) -> None:
    there, back = block("gantry migrate", home, postgresql), block("/gantry /srv/gantry", home, postgresql)
    serve = f"gantry serve --data {home}/data &\n"
    done = shell(
        set_up(home, postgresql)
        + (serve + FILL + STOP + there)
        + f"test ! -e {home}/data/index.sqlite\n"
        + (back + serve + "gantry metrics --store hospital/ct\n"),
        home,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^instances +1$", done.stdout, re.MULTILINE)
