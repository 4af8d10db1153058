"""``gantry check`` with an index in PostgreSQL: the same damage is found as in SQLite, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import URL, NullPool, create_engine, event

from gantry.checking.run import check
from gantry.config import open_checked
from gantry.errors import FailedPrecondition
from gantry.findings import Finding, Kind
from gantry.index.sql import SqlIndex
from gantry.index_copies import copy_index
from gantry.names import ResourcePath
from gantry.resources import Method
from gantry.settings.loading import Settings
from tests.faults.house import STORE
from tests.faults.test_check import INDEX, OWN, STUDY, blob_of, whole
from tests.faults.test_postgresql import run
from tests.support.postgresql import Databases, share, to_text

__all__ = ["whole"]
_BYTES = "x'00'", "'\\x00'"
DAMAGE = {name: (statement.replace(*_BYTES), kind) for name, (statement, kind) in INDEX.items()} | {
    "a text without a study": ("INSERT INTO study_text VALUES (9999, 'x', '', '', '', '')", Kind.TERM_WRONG),
    "a rebuild that has not ended": ("UPDATE generation SET rebuilding = true", Kind.MARK_WRONG),
}


class Place(NamedTuple):
    """A data directory, and the address of its index."""

    data: Path
    url: URL

    @property
    def address(self) -> str:
        return to_text(self.url).replace("+psycopg", "")

    @property
    def settings(self) -> Settings:
        return Settings(data=str(self.data), database=self.address)

    def change(self, statement: str) -> None:
        engine = create_engine(self.url, poolclass=NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql(statement)

    def check(self, reads: bool = False) -> list[Finding]:
        with open_checked(self.data, reads, self.settings) as checked:
            return list(check(checked))


@pytest.fixture(scope="module")
def databases() -> Databases:
    return share()


@pytest.fixture(scope="module")
def moved(whole: Path, tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[tuple[Path, URL]]:
    """The directory of ``whole``, with its index in PostgreSQL; and the file that it was before, beside it."""
    home = tmp_path_factory.mktemp("moved") / "home"
    _copy(whole, home)
    shutil.copy(home / "data/index.sqlite", home / "index.sqlite")
    url = databases.make()
    copy_index(str(home / "data"), to_text(url).replace("+psycopg", ""), lambda *_: None)
    yield home, url
    databases.drop(url)


def _copy(home: Path, target: Path) -> None:
    shutil.copytree(home, target)
    record = target / "data/places.json"
    record.write_text(record.read_text().replace(str(home), str(target)))


@pytest.fixture
def place(moved: tuple[Path, URL], databases: Databases, tmp_path: Path) -> Iterator[Place]:
    """A copy of both, to be damaged."""
    _copy(moved[0], tmp_path / "home")
    url = databases.make(moved[1])
    yield Place(tmp_path / "home/data", url)
    databases.drop(url)


@pytest.mark.slow
def test_what_is_whole_is_clean_and_stays_as_it_is(place: Place) -> None:
    before = {path: path.read_bytes() for path in place.data.rglob("*") if path.is_file()}
    assert place.check(reads=True) == []
    assert {path: path.read_bytes() for path in place.data.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_index(place: Place, damage: str) -> None:
    statement, kind = DAMAGE[damage]
    place.change(statement)
    found = place.check()
    assert {each.kind for each in found} == {kind}, found
    assert all(each.resource and each.message for each in found)


ORPHANS = {
    "a series": ("INSERT INTO series_tally VALUES (9999, 'STANDARD', 1, 1)", "series 9999"),
    "an operation": ("INSERT INTO progress VALUES (9999, 1, 1)", "operation 9999"),
    "a selection": ("INSERT INTO selection VALUES (9999, 1, '')", "operation 9999"),
    "a dataset": ("UPDATE dicom_store SET dataset_id = 9999", "store 1"),
    "a segment": ("UPDATE instance SET segment_id = 9999 WHERE segment_id = 1", "studies/"),
    "a study": (f"UPDATE series SET store_id = 9999 WHERE study_id = {STUDY}", "series "),
}


@pytest.mark.parametrize("orphan", ORPHANS)
def test_rows_that_belong_to_nothing(place: Place, orphan: str) -> None:
    statement, resource = ORPHANS[orphan]
    place.change(statement)
    assert any(each.resource.startswith(resource) for each in place.check())


def test_two_instances_at_one_place(place: Place) -> None:
    place.change(
        "UPDATE instance SET segment_offset = segment_offset - 4096 WHERE segment_id = 1 AND segment_offset = "
        "(SELECT max(segment_offset) FROM instance WHERE segment_id = 1)"
    )
    assert Kind.SEGMENT_WRONG in {found.kind for found in place.check()}


def test_a_header_pack_that_is_missing(place: Place) -> None:
    place.change("DELETE FROM header_pack WHERE id = (SELECT min(id) FROM header_pack)")
    assert {each.kind for each in place.check()} == {Kind.HEADER_WRONG}


def test_bytes_that_are_missing_and_bytes_that_nobody_names(place: Place, moved: tuple[Path, URL]) -> None:
    shutil.copy(moved[0] / "index.sqlite", place.data.parent / "index.sqlite")
    blob = blob_of(place.data.parent, OWN).path
    own = place.data / "blobs" / blob.relative_to(place.data.parent / "blobs")
    own.rename(own.with_name("stranger.dcm"))
    assert {found.kind for found in place.check()} == {Kind.BYTES_MISSING, Kind.BYTES_UNKNOWN}


def test_a_file_whose_name_is_no_utf_8(place: Place) -> None:
    with open(os.fsencode(next((place.data / "blobs").rglob("*.seg")).parent) + b"/stranger\xff.seg", "wb") as stranger:
        stranger.write(b"stranger")
    assert [found.kind for found in place.check()] == [Kind.BYTES_UNKNOWN]


def test_beside_a_server_nothing_waits(place: Place) -> None:
    """The server has its lock, writes and deletes while each walk of a check is in its middle."""
    with closing(SqlIndex(place.address)) as index, open_checked(place.data, settings=place.settings) as checked:
        checks = checked.index.checks
        packs, segments, objects = checks.walk_packs(), checks.walk_segments(), checks.walk_objects()
        assert next(packs).users and next(segments).instances and next(objects).blobs
        for study in sorted({each.study_instance_uid for each in index.instances.walk_store(1)}):
            index.deletion.delete_below(STORE, ResourcePath(study), "v1", Method.DELETE_STUDY)
        assert all(each.data is not None for each in packs)
        assert len(list(segments)) + len(list(objects)) > 0
        assert list(checks.find_wrong_terms()) == list(checks.find_wrong_counts()) == []


def test_a_check_can_write_nothing(place: Place) -> None:
    with open_checked(place.data, settings=place.settings) as checked:
        database = checked.index.checks.database  # type: ignore[attr-defined]
        with pytest.raises(FailedPrecondition), database.write():
            pass
        with pytest.raises(Exception, match="takes no changes"), database.read() as connection:
            connection.exec_driver_sql("DELETE FROM garbage")


_TIMEOUTS = ("statement_timeout", "idle_in_transaction_session_timeout")


@pytest.mark.parametrize("name", _TIMEOUTS)
def test_limits_for_the_sessions_of_others_do_not_end_a_check(place: Place, name: str) -> None:
    """Its statements take as long as reading all rows."""
    place.change(f'ALTER DATABASE "{place.url.database}" SET {name} = 5000')
    with open_checked(place.data, settings=place.settings) as checked:
        database = checked.index.checks.database  # type: ignore[attr-defined]
        with database.read() as connection:
            assert connection.exec_driver_sql(f"SHOW {name}").scalar() == "0"


def test_a_privilege_that_is_missing_is_named(place: Place) -> None:
    """What needs no temporary table is checked all the same."""
    place.change(f'REVOKE TEMPORARY ON DATABASE "{place.url.database}" FROM PUBLIC')
    place.change("DROP ROLE IF EXISTS gantry_reader")
    place.change("CREATE ROLE gantry_reader LOGIN")
    place.change("GRANT SELECT ON ALL TABLES IN SCHEMA public TO gantry_reader")
    try:
        found = place._replace(url=place.url.set(username="gantry_reader")).check()
        assert {each.kind for each in found} == {Kind.NOT_CHECKED}
        assert all("lacks a privilege" in each.message for each in found)
        assert len(found) == 3  # terms, headers, bytes of instances
    finally:
        place.change("DROP OWNED BY gantry_reader")
        place.change("DROP ROLE gantry_reader")


@pytest.mark.slow
def test_the_command(place: Place) -> None:
    arguments = ("check", "--data", str(place.data))
    code, said = run(*arguments, GANTRY_DATABASE=place.address)
    assert code == 0 and "nothing is wrong: " in said and "headers" in said
    place.change("DELETE FROM study_text")
    code, said = run(*arguments, "--json", GANTRY_DATABASE=place.address)
    assert code == 1
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert {line["kind"] for line in lines[:-1]} == {"term-wrong"}
    assert lines[-1]["summary"]["findings"] == len(lines) - 1
    place.change("UPDATE alembic_version SET version_num = '0001'")
    code, said = run(*arguments, GANTRY_DATABASE=place.address)
    assert code == 2 and "another version" in said
    code, said = run(*arguments)
    assert code == 2 and "GANTRY_DATABASE" in said
    code, said = run(*arguments, GANTRY_DATABASE="postgresql://me:hidden@127.0.0.1:1/there")
    assert code == 2 and "hidden" not in said


def end_sessions(place: Place) -> None:
    """Those of everybody else, as where the server of the database begins anew."""
    place.change(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def check_with_loss(place: Place, number: int) -> tuple[list[Finding], int]:
    """Findings where all connections are lost before the statement of a number, and how many statements there were."""
    count = 0

    def lose(*_: object) -> None:
        nonlocal count
        count += 1
        if count == number:
            end_sessions(place)

    with open_checked(place.data, True, place.settings) as checked:
        engine = checked.index.checks.database.engine  # type: ignore[attr-defined]
        event.listen(engine, "before_cursor_execute", lose)
        return list(check(checked)), count


def require_told(found: list[Finding]) -> None:
    """What could not be checked is told, once, and in our own words."""
    assert [each.kind for each in found] == [Kind.NOT_CHECKED], found
    assert "the connection to PostgreSQL is lost" in found[0].message


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_connection_that_is_lost(place: Place, share: float) -> None:
    """The other checks run, over a new one."""
    found, count = check_with_loss(place, 0)
    assert found == []
    require_told(check_with_loss(place, int(count * share))[0])


@pytest.mark.slow
def test_a_connection_that_is_lost_at_many_statements(place: Place) -> None:
    for number in range(1, check_with_loss(place, 0)[1] + 1, 5):
        require_told(check_with_loss(place, number)[0])


def test_a_connection_that_is_lost_while_findings_come(place: Place) -> None:
    """They come through a cursor of the server."""
    place.change("INSERT INTO series_tally SELECT 9000 + n, 'STANDARD', 1, 1 FROM generate_series(1, 50) n")
    with open_checked(place.data, settings=place.settings) as checked:
        found = check(checked)
        first = next(found)
        end_sessions(place)
        rest = list(found)
    assert first.kind is Kind.COUNT_WRONG
    require_told([each for each in rest if each.kind is not Kind.COUNT_WRONG])
