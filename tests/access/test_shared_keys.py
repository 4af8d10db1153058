"""Servers that share an index in PostgreSQL: a key and a token are good at each of them, whichever has made it.

``one`` and ``other`` are two processes' views of the keys; nothing passes between them but the database.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gantry import index_copies
from gantry.access import reloading
from gantry.access.key_files import KeyFiles
from gantry.access.service_accounts import ServiceAccounts
from gantry.access_wiring import open_access, open_service_accounts
from gantry.errors import FailedPrecondition, Unauthenticated
from gantry.iam.account_keys import KeyRing
from gantry.iam.policies import principal
from gantry.iam.sessions import Session
from gantry.index.sql import SqlIndex
from gantry.index_copies import copy_index
from gantry.index_wiring import IndexPlace
from gantry.key_wiring import KEYS
from gantry.settings.loading import Settings
from tests.access.test_service_accounts import URL, signed
from tests.cli.harness import run
from tests.support.postgresql import Databases, share, to_text

pytestmark = pytest.mark.slow

PACS = "serviceAccount:pacs@hospital.iam.gantry"


@pytest.fixture(scope="module")
def databases() -> Iterator[Databases]:
    yield share()


@pytest.fixture
def empty(databases: Databases) -> Iterator[str]:
    """Of a database without an index."""
    url = databases.make()
    yield to_text(url).replace("+psycopg", "")
    databases.drop(url)


@pytest.fixture
def database(empty: str) -> str:
    SqlIndex(empty).close()
    return empty


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def settings(database: str, data: Path) -> Settings:
    data.mkdir(exist_ok=True)
    return Settings(data=str(data), database=database, auth="required", admins=("user:a@b.c",))


def accounts(opened: ExitStack, database: str, data: Path) -> ServiceAccounts:
    """As an offline command has them, beside all servers."""
    return opened.enter_context(open_service_accounts(settings(database, data)))


@pytest.fixture
def one(opened: ExitStack, database: str, tmp_path: Path) -> ServiceAccounts:
    return accounts(opened, database, tmp_path / "one")


@pytest.fixture
def other(opened: ExitStack, database: str, tmp_path: Path) -> ServiceAccounts:
    return accounts(opened, database, tmp_path / "other")


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read stays for the time of a test, but for one more look."""
    monkeypatch.setattr(reloading, "SECONDS", 1000)


def name_of(accounts: ServiceAccounts, token: str) -> str:
    found = accounts.authenticate(token)
    assert found is not None
    return found.name


@pytest.mark.usefixtures("slowly")
def test_a_key_and_its_tokens_are_good_everywhere_at_once(one: ServiceAccounts, other: ServiceAccounts) -> None:
    """``other`` has looked just before the key was made."""
    assert other.list() == []
    key = one.create("pacs", "hospital", f"{URL}/token")
    token = other.exchange(signed(key, aud="https://oauth2.googleapis.com/token"))["access_token"]
    assert [name_of(each, token) for each in (one, other)] == [PACS, PACS]
    again = one.exchange(signed(key, aud="https://oauth2.googleapis.com/token"))["access_token"]
    assert [name_of(each, again) for each in (one, other)] == [PACS, PACS]


@pytest.mark.usefixtures("slowly")
@pytest.mark.parametrize("use", ["signed", "token", "credential"])
def test_a_new_key_is_looked_for_before_it_is_refused(one: ServiceAccounts, other: ServiceAccounts, use: str) -> None:
    assert other.list() == []
    key = one.create("pacs", "hospital", f"{URL}/token")
    if use == "credential":
        found = other.recheck(f"key:{key['private_key_id']}")
        assert found is not None and found.name == PACS
    elif use == "token":
        token = one.exchange(signed(key, aud="https://oauth2.googleapis.com/token"))["access_token"]
        assert name_of(other, token) == PACS
    else:
        assert name_of(other, signed(key, aud=None)) == PACS


@pytest.mark.usefixtures("slowly")
def test_tokens_for_callers_of_an_issuer_are_good_everywhere(one: ServiceAccounts, other: ServiceAccounts) -> None:
    assert one.list() == other.list() == []
    who = principal("user:ada@example.org", ["group:radiology"])
    assert name_of(other, one.issue_for(who)["access_token"]) == who.name
    assert name_of(one, other.issue_for(who)["access_token"]) == who.name


def test_a_key_that_is_deleted_is_good_nowhere(
    one: ServiceAccounts, other: ServiceAccounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "SECONDS", 0)  # the time within which it counts
    key = one.create("pacs", "hospital", f"{URL}/token")
    token = other.exchange(signed(key, aud="https://oauth2.googleapis.com/token"))["access_token"]
    one.delete(key["private_key_id"])
    with pytest.raises(Unauthenticated, match="has been deleted"):
        other.authenticate(token)
    assert other.authenticate(signed(key, aud=None)) is None
    assert other.recheck(f"key:{key['private_key_id']}") is None


@pytest.mark.slow
@pytest.mark.usefixtures("slowly")
def test_unknown_keys_make_no_work(one: ServiceAccounts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tries keys that do not exist makes the server look once a second."""
    key = one.create("pacs", "hospital", f"{URL}/token")
    reads: list[KeyRing] = []

    def read() -> KeyRing:
        reads.append(one._store.read())
        return reads[-1]

    monkeypatch.setattr(one._known, "_read", read)
    for number in range(20):
        assert one.authenticate(signed(key, {"kid": f"{number:040x}"})) is None
        with pytest.raises(Unauthenticated):
            one.exchange(signed(key, {"kid": f"{number:040x}"}))
    assert len(reads) == 2  # the first look, and one more


def files_of(data: Path) -> ServiceAccounts:
    return ServiceAccounts(KeyFiles(data / KEYS))


def begin(opened: ExitStack, wanted: Settings) -> ServiceAccounts:
    """What a server does at its start; the tokens that it accepts."""
    access = open_access(wanted)
    assert access is not None
    index = SqlIndex(wanted.database)
    access.begin(index)
    opened.callback(index.close)
    (found,) = access.verifiers
    assert isinstance(found, ServiceAccounts)
    return found


def test_a_server_that_had_its_keys_in_files_goes_on_with_them(
    opened: ExitStack, database: str, tmp_path: Path
) -> None:
    data = tmp_path / "one"
    key = files_of(data).create("pacs", "hospital", f"{URL}/token")
    token = files_of(data).exchange(signed(key, aud="https://oauth2.googleapis.com/token"))["access_token"]
    server = begin(opened, settings(database, data))
    beside = accounts(opened, database, tmp_path / "new")
    assert [name_of(each, token) for each in (server, beside)] == [PACS, PACS]
    assert name_of(beside, signed(key, aud=None)) == PACS
    assert not (data / KEYS).exists() and (data / f"{KEYS}.moved").is_dir()


def test_the_files_are_adopted_by_whoever_comes_first(opened: ExitStack, database: str, tmp_path: Path) -> None:
    """A new server may have begun before, and have given a token; then both have their secrets."""
    new = begin(opened, settings(database, tmp_path / "new"))
    given = new.issue_for(principal("user:a@b.c"))["access_token"]
    data = tmp_path / "old"
    key = files_of(data).create("pacs", "hospital", f"{URL}/token")
    token = files_of(data).exchange(signed(key, aud="https://oauth2.googleapis.com/token"))["access_token"]
    beside = accounts(opened, database, data)
    for each in (new, beside):
        assert (name_of(each, token), name_of(each, given)) == (PACS, "user:a@b.c")


def test_a_start_that_was_cut_brings_no_deleted_key_back(opened: ExitStack, database: str, tmp_path: Path) -> None:
    """The rows are there, and the files as well."""
    data = tmp_path / "one"
    key = files_of(data).create("pacs", "hospital", f"{URL}/token")
    first = accounts(opened, database, data)
    first.delete(key["private_key_id"])
    (data / f"{KEYS}.moved").rename(data / KEYS)
    assert accounts(opened, database, data).list() == []


def silent(_what: str, _done: int, _total: int) -> None: ...


@pytest.mark.slow
def test_keys_follow_an_index_that_moves_up_and_down(opened: ExitStack, empty: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("lock", "index.sqlite"):
        (data / name).touch()
    (data / "index.sqlite").unlink()
    IndexPlace(data).open().close()
    kept = files_of(data).create("pacs", "hospital", f"{URL}/token")
    gone = files_of(data).create("old", "hospital", f"{URL}/token")
    token = files_of(data).exchange(signed(kept, aud="https://oauth2.googleapis.com/token"))["access_token"]
    copy_index(str(data), empty, silent)
    with open_service_accounts(settings(empty, data)) as above:
        assert name_of(above, token) == PACS
        above.delete(gone["private_key_id"])
        new = above.create("new", "hospital", f"{URL}/token")
        later = above.exchange(signed(new, aud="https://oauth2.googleapis.com/token"))["access_token"]
    copy_index(empty, str(data), silent)
    below = accounts(opened, "sqlite", data)
    assert {each.email.partition("@")[0] for each in below.list()} == {"pacs", "new"}
    assert name_of(below, token) == PACS and name_of(below, later).startswith("serviceAccount:new@")
    below.delete(new["private_key_id"])
    assert copy_index(empty, str(data), silent) is None  # it was done before, and changes nothing
    assert [each.id for each in accounts(opened, "sqlite", data).list()] == [kept["private_key_id"]]


@pytest.mark.slow
@pytest.mark.parametrize("step", ["write_key_files", "_rename"])
def test_a_copy_that_was_interrupted_brings_the_keys_all_the_same(
    opened: ExitStack, empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "lock").touch()
    IndexPlace(data).open().close()
    copy_index(str(data), empty, silent)
    with open_service_accounts(settings(empty, data)) as above:
        key = above.create("pacs", "hospital", f"{URL}/token")

    def end(*_: object) -> None:
        raise FailedPrecondition("the end")

    with monkeypatch.context() as patch:
        patch.setattr(index_copies, step, end)
        with pytest.raises(FailedPrecondition, match="the end"):
            copy_index(empty, str(data), silent)
    copy_index(empty, str(data), silent)
    assert [each.id for each in accounts(opened, "sqlite", data).list()] == [key["private_key_id"]]


@pytest.mark.slow
def test_an_index_that_never_had_keys_leaves_the_files(opened: ExitStack, empty: str, tmp_path: Path) -> None:
    """No server has begun between the two copies."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "lock").touch()
    IndexPlace(data).open().close()
    key = files_of(data).create("pacs", "hospital", f"{URL}/token")
    copy_index(str(data), empty, silent)
    copy_index(empty, str(data), silent)
    assert [each.id for each in accounts(opened, "sqlite", data).list()] == [key["private_key_id"]]


@pytest.mark.slow
def test_the_commands_find_the_database_beside_a_server(opened: ExitStack, database: str, tmp_path: Path) -> None:
    server = begin(opened, settings(database, tmp_path / "one"))
    assert server.list() == []
    config = tmp_path / "gantry.toml"
    config.write_text(f'database = "{database}"\n')
    data, file = ("--data", str(tmp_path / "one")), tmp_path / "pacs.json"
    made = run("service-accounts", "create", "pacs", "--out", str(file), "--config", str(config), *data)
    assert made.returncode == 0, made.stderr
    key = json.loads(file.read_text())
    assert name_of(server, signed(key, aud=None)).startswith("serviceAccount:pacs@")
    listed = run("service-accounts", "list", "--json", *data, env={"GANTRY_DATABASE": database})
    assert [each["keyId"] for each in json.loads(listed.stdout)] == [key["private_key_id"]]
    removed = run("service-accounts", "delete", key["private_key_id"], *data, env={"GANTRY_DATABASE": database})
    assert removed.returncode == 0, removed.stderr
    assert accounts(opened, database, tmp_path / "other").list() == []


def test_the_commands_say_where_no_keys_can_be(empty: str, tmp_path: Path) -> None:
    def refuse(database: str, words: str) -> None:
        with (
            pytest.raises(FailedPrecondition, match=words),
            open_service_accounts(settings(database, tmp_path / "data")),
        ):
            pass

    refuse(empty, "holds no index yet. Start the server")
    (tmp_path / "data" / "index.postgresql").touch()
    refuse("sqlite", "settings do not say where")


def test_a_session_is_good_at_each_server(one: ServiceAccounts, other: ServiceAccounts) -> None:
    """Its row is in the index; what it began with is looked for, too."""
    key = one.create("pacs", "hospital", f"{URL}/token")
    who = one.recheck(f"key:{key['private_key_id']}")
    assert who is not None
    session = Session(who, 4_000_000_000)
    assert other.recheck(session.who.credential) == session.who
