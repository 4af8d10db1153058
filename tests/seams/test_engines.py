"""The setting of an engine, and what of a call travels to its workers."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gantry import engine_wiring
from gantry.client import worker
from gantry.client.arguments import parser
from gantry.engine_wiring import complete_place, dumps, require_engine
from gantry.engines.addresses import Engine
from gantry.errors import FailedPrecondition, InvalidArgument
from gantry.operations.batches import run_in_order
from gantry.settings.loading import load_settings
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.notes import UploadNotes
from gantry.storage.remote.place import RemotePlace
from gantry.worker_calls import WorkerTimedOut

WORD = "a-secret-of-the-tests"
PLACE = RemotePlace(
    *("s3", "own", "s3://own"),
    endpoint="https://one.example.org",
    access_key_id="AKIAGANTRYTESTS00000",
    secret_access_key=WORD,
)
ENTRY = """
[[remote_buckets]]
name = "s3://own"
provider = "s3"
endpoint = "https://another.example.org"
region = "eu-west-1"
access_key_id = "AKIAOTHER00000000000"
secret_access_key = "the-workers-own"
"""


@pytest.mark.parametrize(
    "text",
    [
        *("dask", "dask://", "dask://host", "dask://host:0", "dask://host:65536", "dask://host:1/x", "process"),
        *(
            "ray+tls://host:10001",
            "ray://host",
            "tcp://host:8786",
            "dask+tls:/host:1",
            "dask://user:word@host:1",
            "dask://ho st:1",
        ),
    ],
)
def test_an_address_that_is_none_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(
        InvalidArgument, match=r"executor: .* is not processes, dask://HOST:PORT, .*, or ray://HOST:PORT"
    ):
        load_settings({}, {"GANTRY_EXECUTOR": text})


@pytest.mark.parametrize(
    ("text", "engine", "scheduler"),
    [
        ("processes", None, ""),
        ("dask://host:8786", Engine("dask", "host", 8786, False), "tcp://host:8786"),
        ("dask://[::1]:8786", Engine("dask", "[::1]", 8786, False), "tcp://[::1]:8786"),
        ("ray://head:10001", Engine("ray", "head", 10001, False), "ray://head:10001"),
    ],
    ids=["pool", "name", "address", "ray"],
)
def test_an_engine_is_where_its_address_says(text: str, engine: Engine | None, scheduler: str) -> None:
    found = load_settings({}, {"GANTRY_EXECUTOR": text}).engine
    assert found == engine
    assert found is None or found.scheduler == scheduler


@pytest.mark.parametrize(
    ("env", "why"),
    [
        ({"GANTRY_EXECUTOR": "dask+tls://h:1"}, "needs executor_ca, executor_cert and executor_key"),
        ({"GANTRY_EXECUTOR": "dask://h:1", "GANTRY_EXECUTOR_CA": "/"}, r"need dask\+tls:// in executor"),
        ({"GANTRY_WORKER_PORT": "9100"}, "need dask:// or dask"),
        ({"GANTRY_EXECUTOR": "ray://h:1", "GANTRY_WORKER_HOST": "127.0.0.1"}, "need dask:// or dask"),
        ({"GANTRY_EXECUTOR": "dask://h:1", "GANTRY_WORKER_CONTACT": "w"}, "worker_contact: needs worker_port"),
    ],
    ids=["no-files", "no-tls", "no-engine", "not-of-ray", "no-port"],
)
def test_settings_that_have_no_effect_are_refused(env: dict[str, str], why: str) -> None:
    with pytest.raises(InvalidArgument, match=why):
        load_settings({}, env)


@pytest.mark.parametrize("name", ["dask", "ray"])
def test_an_engine_whose_libraries_are_missing_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(engine_wiring, "find_spec", lambda _name: None)
    require_engine(load_settings({}, {}))
    with pytest.raises(FailedPrecondition, match=rf"pip install 'gantry-dicom\[{name}\]'"):
        require_engine(load_settings({}, {"GANTRY_EXECUTOR": f"{name}://h:1"}))


@pytest.mark.parametrize(
    ("env", "more", "why"),
    [
        ({}, [], "executor: names no engine"),
        ({"GANTRY_EXECUTOR": "dask://h:1"}, ["--processes", "0"], "--processes: is a whole number"),
    ],
    ids=["pool", "processes"],
)
def test_a_worker_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, env: dict[str, str], more: list[str], why: str
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidArgument, match=why):
        worker.work(parser().parse_args(["worker", *more]))


def load(data: bytes) -> Any:
    """As a worker does."""
    return pickle.loads(data)  # noqa: S301 - of this test


@pytest.fixture
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a worker; empty at first."""
    file = tmp_path / "gantry.toml"
    file.write_text("")
    monkeypatch.setenv("GANTRY_CONFIG", str(file))
    engine_wiring._read_own_buckets.cache_clear()
    return file


def test_no_secret_travels_and_a_worker_takes_its_own(own_settings: Path) -> None:
    sent = dumps({"source": RemoteBucket(PLACE, UploadNotes(Path("/var/lib/gantry/uploads/7")))})
    assert WORD.encode() not in sent and b"/var/lib/gantry" not in sent
    own_settings.write_text(ENTRY)
    found = load(sent)["source"]
    assert (found.place.secret_access_key, found.place.access_key_id) == ("the-workers-own", "AKIAOTHER00000000000")
    assert found.place.endpoint == PLACE.endpoint, "which bucket it is the server says"
    assert found.notes is None


def test_a_worker_without_a_key_of_its_own_says_so(own_settings: Path) -> None:
    with pytest.raises(FailedPrecondition, match="s3://own: the settings of a worker have no key"):
        load(dumps(PLACE))


def test_a_bucket_without_a_key_in_the_settings_of_either_has_the_usual_credentials(own_settings: Path) -> None:
    plain = RemotePlace("s3", "own", "s3://own", region="eu-west-1")
    assert load(dumps(plain)) == plain
    own_settings.write_text(ENTRY.replace("secret_access_key", "# ").replace("access_key_id", "# ") + 'profile = "p"')
    engine_wiring._read_own_buckets.cache_clear()
    assert load(dumps(PLACE)).profile == "p"
    assert complete_place({"provider": "s3", "bucket": "b", "address": "s3://b"}, False).bucket == "b"


def test_a_time_limit_comes_back_from_another_machine() -> None:
    error = load(pickle.dumps(WorkerTimedOut(2.5)))
    assert (type(error), error.seconds, str(error)) == (WorkerTimedOut, 2.5, "no sign of life for 2.5 seconds")


def test_more_batches_run_once_workers_join() -> None:
    futures: list[Future[list[int]]] = []
    sizes = iter([2, 2, 4, 4, 4, 4, 4, 4])
    ahead: list[int] = []

    def submit(_number: int, batch: Sequence[int], _offset: int) -> Future[list[int]]:
        ahead.append(len(futures))
        futures.append(Future())
        futures[-1].set_result(list(batch))
        return futures[-1]

    with closing(run_in_order(submit, ([n] for n in range(6)), lambda: next(sizes, 4), lambda item, _: item)) as found:
        taken = [(next(found)[2], len(futures)) for _ in range(6)]
    assert [outcomes for outcomes, _ in taken] == [[n] for n in range(6)]
    assert [count for _, count in taken] == [2, 5, 6, 6, 6, 6]
