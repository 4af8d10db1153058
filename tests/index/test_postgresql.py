"""PostgreSQL as the index: its schema, its functions, its lock, and what happens when it is away."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from unittest import mock

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError

from gantry.errors import FailedPrecondition, Interrupted
from gantry.index import postgresql, postgresql_locks
from gantry.index.all_tables import metadata
from gantry.index.opening import NO_DRIVER
from gantry.index.refusals import OutcomeUnknown
from gantry.index.sql import SqlIndex
from gantry.matching import search_key
from gantry.resources import Batch, DicomStore, Method, Operation
from tests.index.test_sqlite import COMPARED, is_declared
from tests.index.values import DATASET, RUNNER, STORE, item, stored
from tests.support import postgresql as support
from tests.support.postgresql import Databases, PostgresServer, to_text


@pytest.fixture
def index(postgresql_url: str) -> Iterator[SqlIndex]:
    """In a database of its own, which a test may spoil."""
    opened = SqlIndex(postgresql_url)
    yield opened
    opened.close()


# Schema ---------------------------------------------------------------------------------------------------------------


def test_migrations_give_what_the_tables_declare(index: SqlIndex) -> None:
    with index.database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=COMPARED)
        assert compare_metadata(context, metadata) == []


def test_migrations_give_the_same_definitions_as_the_tables(index: SqlIndex, databases: Databases) -> None:
    """Columns with types, collations and defaults; constraints; indexes with their conditions."""
    url = databases.make()
    declared = postgresql.open_engine(url, 1)
    try:
        metadata.create_all(declared)
        with index.database.engine.connect() as migrated, declared.connect() as made:
            assert definitions(migrated) == definitions(made)
    finally:
        declared.dispose()
        databases.drop(url)


_DEFINITIONS = (
    "SELECT table_name, column_name, data_type, collation_name, is_nullable, column_default "
    "FROM information_schema.columns WHERE table_schema = 'public'",
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'public'::regnamespace AND contype <> 'n'",
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
)


def definitions(connection: Connection) -> list[tuple[object, ...]]:
    found = [tuple(row) for query in _DEFINITIONS for row in connection.exec_driver_sql(query)]
    return sorted(row for row in found if row[0] != "alembic_version" and is_declared(row[0]))


def test_all_texts_are_ordered_by_their_bytes(index: SqlIndex) -> None:
    """Whatever the collation of the database is."""
    query = (
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' "
        "AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'"
    )
    with index.database.engine.connect() as connection:
        assert connection.exec_driver_sql(query).all() == []


def test_a_start_changes_nothing_in_an_index_that_is_up_to_date(index: SqlIndex, postgresql_url: str) -> None:
    index.close()
    with mock.patch.object(postgresql, "upgrade_schema", side_effect=AssertionError):
        SqlIndex(postgresql_url).close()


def test_an_index_of_a_newer_version_is_refused(index: SqlIndex, postgresql_url: str) -> None:
    with index.database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    index.close()
    with pytest.raises(FailedPrecondition, match="another version"):
        SqlIndex(postgresql_url)


# Functions ------------------------------------------------------------------------------------------------------------


def test_texts_are_folded_as_in_python(index: SqlIndex) -> None:
    """Each character that is another one then, between two others (of Hangul's syllables a few), and some words."""
    left_out = {*range(0xD800, 0xE000), *(code for code in range(0xAC00, 0xD7A4) if code % 500)}
    texts = [f"a{chr(code)}b" for code in (*range(128, 0x20000), *range(0x2F800, 0x2FA20)) if code not in left_out]
    texts = [each for each in texts if search_key(each) != each or ord(each[1]) < 0x300]
    texts += ["Müller", "ΌΔΟΣ", "ｶﾞｷﾞ", "İ", "Straẞe", "\u0301", "é" * 200, "ﬁ", "각", "\u200a", "ä\u3000"]
    with index.database.read() as connection:
        every = "unnest(CAST(:texts AS text[])) WITH ORDINALITY every(value, n)"
        query = text(f"SELECT search_key(value) FROM {every} ORDER BY n")
        found = connection.execute(query, {"texts": texts}).scalars().all()
    wrong = [each for each, key in zip(texts, found, strict=True) if search_key(each) != key]
    # Characters that one of both does not know yet: each has the Unicode of its release.
    assert len(wrong) < 300, wrong[:20]
    assert [each for each in wrong if len(each) == 3 and ord(each[1]) < 0x2000] == []


@pytest.mark.parametrize(
    ("pattern", "like", "unlike"),
    [
        ("a*", ["a", "a%", "a\nb"], ["", "ba"]),
        ("a?", ["ab", "aé", "a%"], ["a", "abc"]),
        ("5%_*", ["5%_", "5%_x"], ["5", "5xx"]),
        ("[[]x]", ["[x]"], ["x"]),
        ("a\\b*", ["a\\b", "a\\bc"], ["ab", "a\\\\b"]),
    ],
)
def test_patterns_mean_the_same(index: SqlIndex, pattern: str, like: list[str], unlike: list[str]) -> None:
    with index.database.read() as connection:
        query = text("SELECT :value LIKE glob_pattern(:pattern)")
        for value in (*like, *unlike):
            assert connection.execute(query, {"value": value, "pattern": pattern}).scalar() is (value in like), value


# One server -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_second_server_is_refused_until_the_first_has_ended(
    index: SqlIndex, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_locks, "_LOCK_SECONDS", 1)
    with pytest.raises(FailedPrecondition, match="another server of Gantry uses this database"):
        SqlIndex(postgresql_url)
    index.close()
    SqlIndex(postgresql_url).close()


def test_a_database_that_cannot_be_reached_is_named_without_its_password() -> None:
    with pytest.raises(FailedPrecondition) as caught:
        SqlIndex("postgresql://me:hidden@127.0.0.1:1/there")
    assert "there" in caught.value.message and "hidden" not in caught.value.message


def test_without_its_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gantry.index.postgresql", None)
    with pytest.raises(FailedPrecondition) as caught:
        SqlIndex("postgresql://127.0.0.1:1/there")
    assert caught.value.what == NO_DRIVER


def test_a_commit_is_on_disk_before_it_returns(index: SqlIndex) -> None:
    for engine in (index.database.engine, index.database.writer):
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


def test_a_null_character_never_reaches_it(index: SqlIndex, store: DicomStore, operation: Operation) -> None:
    new = item(1)._replace(blob_key="b\0/1", transfer_syntax_uid="1.2\0")
    assert index.operations.commit_batch(operation, RUNNER, Batch("a", (new,))).lost == 0
    (found,) = stored(index, store)
    assert (found.blob_key, found.transfer_syntax_uid) == ("b/1", "1.2")
    assert index.saved_searches.list_searches(STORE, "nobody\0") == {}


def test_an_operation_and_its_store_are_locked_while_a_batch_is_committed(
    index: SqlIndex, operation: Operation, postgresql_url: str
) -> None:
    """Whoever writes beside this server waits: nobody takes the operation over, or deletes its store, in between."""
    engine = create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    queries = [
        text("SELECT id FROM operation FOR UPDATE NOWAIT"),
        text("SELECT id FROM dicom_store FOR NO KEY UPDATE NOWAIT"),
    ]
    with engine.connect() as other:
        with index.database.write() as connection:
            index.operations._own(connection, operation, RUNNER)
            for query in queries:
                with pytest.raises(OperationalError, match="could not obtain lock"):
                    other.execute(query)
        for query in queries:
            assert other.execute(query).scalar() is not None
    engine.dispose()


def test_an_operation_that_another_session_has_locked_is_left_for_later(
    index: SqlIndex, store: DicomStore, postgresql_url: str
) -> None:
    """Whoever looks for one does not ask again and again meanwhile, and takes the next one."""
    first, second = (
        index.operations.create_operation(DATASET, "v1", Method.IMPORT_DICOM_DATA, {}, str(STORE)) for _ in range(2)
    )
    writes = mock.patch.object(index.database, "write", side_effect=[index.database.write() for _ in range(2)])
    engine = create_engine(postgresql_url)
    with engine.connect() as other:
        other.execute(text("SELECT id FROM operation WHERE id = :id FOR UPDATE"), {"id": first.name.id})
        with writes:
            claimed = [index.operations.claim_operation(RUNNER) for _ in range(2)]
        assert [each and each.name for each in claimed] == [second.name, None]
    engine.dispose()
    last = index.operations.claim_operation(RUNNER)
    assert last is not None and last.name == first.name


def test_transactions_see_what_is_committed_whatever_the_default_is(index: SqlIndex, postgresql_url: str) -> None:
    with index.database.write() as connection:
        name = connection.exec_driver_sql("SELECT current_database()").scalar()
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET default_transaction_isolation = serializable')
    index.close()
    with closing(SqlIndex(postgresql_url)) as again:
        for block in (again.database.read, again.database.write):
            with block() as connection:
                assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "read committed"


def test_numbers_go_on_far_behind_those_that_another_index_may_have_given(index: SqlIndex, store: DicomStore) -> None:
    """An index that was put back, or is made again, does not give a number twice."""
    other = replace(STORE, store="other")
    index.generations.follow(1000, lambda *numbers: "/".join(map(str, numbers)), 1000)
    index.resources.create_dicom_store(DicomStore(other))
    followed = index.resources.get_dicom_store(other).id
    assert followed > store.id + 1000 and index.uploads.begin_upload(store.id) > 1000
    assert index.generations.get().commits > 1000
    index.generations.begin_rebuilding("", stores=1 << 50, uploads=7)
    index.restoration.restore_store(1 << 50, replace(STORE, store="restored"))
    index.resources.create_dicom_store(DicomStore(replace(STORE, store="last")))
    assert index.resources.get_dicom_store(replace(STORE, store="last")).id > 1 << 50


# A server that ends and begins again ----------------------------------------------------------------------------------


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """One that a test may kill."""
    support.require()
    if support.find_programs() is None:
        pytest.skip("a server of the environment is not killed")
    server = PostgresServer()
    yield server
    server.close()


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_calls_are_interrupted_while_the_server_is_away_and_go_on_afterwards(
    own_server: PostgresServer, how: str
) -> None:
    index = SqlIndex(to_text(own_server.url))
    index.access.change_policy("p", lambda _: "1")
    getattr(own_server, how)()
    for _ in range(3):
        with pytest.raises(Interrupted):
            index.access.get_policy("p")
        with pytest.raises(Interrupted):
            index.access.change_policy("p", lambda _: "2")
    assert index.find_troubles() != []
    own_server.start()
    for call in (lambda: index.access.get_policy("p"), lambda: index.access.change_policy("p", lambda _: "3")):
        try:
            call()
        except Interrupted:  # a connection that was in the pool
            call()
    assert index.access.get_policy("p") == "3"
    assert index.find_troubles() == []
    index.settle()
    index.close()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_after_a_restart_the_first_call_is_answered(
    own_server: PostgresServer, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that has rested is tried before it is used."""
    monkeypatch.setattr(postgresql, "_REST_SECONDS", 0.0)
    index = SqlIndex(to_text(own_server.url))
    index.access.change_policy("p", lambda _: "1")
    assert index.access.get_policy("p") == "1"
    getattr(own_server, how)()
    own_server.start()
    assert index.access.get_policy("p") == "1"
    index.access.change_policy("p", lambda _: "2")
    index.close()


def _end_session(index: SqlIndex, connection: Connection) -> None:
    """The server ends the session of a connection, as an administrator may."""
    pid = connection.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
    with index.database.read() as other:
        other.exec_driver_sql("SELECT pg_terminate_backend(%s, 10000)", (pid,)).close()


def test_a_transaction_whose_connection_is_lost_leaves_nothing(index: SqlIndex, store: DicomStore) -> None:
    with pytest.raises(Interrupted), index.database.write() as connection:
        connection.execute(text("INSERT INTO project VALUES ('lost', '')"))
        _end_session(index, connection)
        connection.execute(text("INSERT INTO project VALUES ('lost too', '')"))
    with index.database.read() as connection:
        assert connection.exec_driver_sql("SELECT * FROM project").all() == []
    index.access.change_policy("p", lambda _: "1")
    assert index.access.get_policy("p") == "1"


class Lossy:
    """The connection is lost in COMMIT: before the server has done it, or before its answer has come."""

    def __init__(
        self, index: SqlIndex, is_done: bool, stays_away: bool = False, meanwhile: Callable[[], object] = dict
    ) -> None:
        self._index, self._is_done, self._stays_away, self._meanwhile = index, is_done, stays_away, meanwhile
        self._real = Connection.exec_driver_sql
        self.met = 0

    def __call__(self, connection: Connection, statement: str, *values: object) -> object:
        if statement == "COMMIT":
            self.met += 1
            if self._is_done:
                self._real(connection, "COMMIT").close()
            _end_session(self._index, connection)
            self._meanwhile()
        elif statement.startswith("SELECT pg_xact_status") and self._stays_away:
            self._stays_away = False
            _end_session(self._index, connection)
        return self._real(connection, statement, *values)  # type: ignore[arg-type]


@pytest.mark.parametrize("is_done", [True, False])
def test_the_outcome_of_a_commit_without_an_answer_is_found_out(index: SqlIndex, is_done: bool) -> None:
    lossy = Lossy(index, is_done)
    with mock.patch.object(Connection, "exec_driver_sql", lambda *given: lossy(*given)):
        if is_done:
            index.access.change_policy("p", lambda _: "1")
        else:
            with pytest.raises(Interrupted) as caught:
                index.access.change_policy("p", lambda _: "1")
            assert not isinstance(caught.value, OutcomeUnknown)
    assert lossy.met == 1
    assert index.access.get_policy("p") == ("1" if is_done else "")
    index.settle()


@pytest.mark.parametrize("is_done", [True, False])
def test_where_it_cannot_be_found_out_the_outcome_is_unknown_until_it_is_settled(
    index: SqlIndex, is_done: bool
) -> None:
    lossy = Lossy(index, is_done, stays_away=True)
    patched = mock.patch.object(Connection, "exec_driver_sql", lambda *given: lossy(*given))
    with patched, pytest.raises(OutcomeUnknown):
        index.access.change_policy("p", lambda _: "1")
    assert not index.database._certain  # type: ignore[attr-defined]
    index.settle()
    assert index.database._certain  # type: ignore[attr-defined]
    assert index.access.get_policy("p") == ("1" if is_done else "")


def test_the_session_with_the_lock_stays_whatever_the_database_says(postgresql_url: str, databases: Databases) -> None:
    engine = create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    name = engine.url.database
    with engine.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE \"{name}\" SET idle_session_timeout = '1s'").close()
    engine.dispose()
    opened = SqlIndex(postgresql_url)
    with opened.database.writer.connect() as connection:
        assert connection.exec_driver_sql("SHOW idle_session_timeout").scalar() == "0"
    opened.close()


@pytest.mark.slow
def test_the_outcome_is_unknown_while_another_session_has_the_lock(
    index: SqlIndex, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_locks, "_LOCK_SECONDS", 1)
    engine = create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as other:
        take_lock = text(f"SELECT pg_advisory_lock({postgresql_locks.LOCK})")
        lossy = Lossy(index, True, meanwhile=lambda: other.execute(take_lock).close())
        patched = mock.patch.object(Connection, "exec_driver_sql", lambda *given: lossy(*given))
        with patched, pytest.raises(OutcomeUnknown):
            index.access.change_policy("p", lambda _: "1")
        with pytest.raises(Interrupted, match="another server of Gantry uses this database"):
            index.settle()
    engine.dispose()
    index.settle()
    assert index.access.get_policy("p") == "1"
