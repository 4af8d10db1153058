"""Fixtures: one real server per test process, a dataset, store and buckets of its own for each test."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import HealthCheck, settings

from tests.support import databases, prepared, replicas
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry, without_tracebacks
from tests.support.server import GantryServer

BIG = 3000
CASES = 2
"""Of a test with more cases ``./run test`` runs so many, from all of them, and ``./run test-slow`` the others."""
_BEGUN = time.monotonic()
# Before any module of tests makes settings of its own: no property fails because the machine is busy.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def pytest_configure() -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell lets what it runs in the background ignore Ctrl-C, and every process of the tests would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    prepared.begin()


def pytest_unconfigure() -> None:
    prepared.end()


@pytest.hookimpl(tryfirst=True)  # before marks are selected
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With PostgreSQL tests about SQLite alone are left out, with replicas those about one process: the summary says
    why."""
    mark_further_cases(items)
    left_out = {"sqlite": "PostgreSQL"} if databases.is_server() else {}
    left_out |= {"one_process": "replicas"} if replicas.count() else {}
    for each, (name, kind) in product(items, left_out.items()):
        if mark := each.get_closest_marker(name):
            each.add_marker(pytest.mark.skip(reason=f"left out with {kind}: {mark.args[0]}"))


def mark_further_cases(items: list[pytest.Item]) -> None:
    """Mark the cases of a test that are more than CASES as ``further``."""
    tests: dict[str, list[pytest.Item]] = {}
    for each in items:
        tests.setdefault(each.nodeid.partition("[")[0], []).append(each)
    for cases in tests.values():
        kept = {number * len(cases) // CASES for number in range(CASES)}
        for number, each in enumerate(cases):
            if len(cases) > CASES and number not in kept:
                each.add_marker(pytest.mark.further)


@pytest.fixture(scope="session", autouse=True)
def _databases() -> Iterator[None]:
    """Before every server, and after all of them."""
    databases.begin()
    replicas.begin()
    yield
    replicas.end()
    databases.end()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """With GANTRY_TEST_MINUTES tests that have not begun by then are left out, and the summary says so: where a run
    must end in time on machines of any speed."""
    minutes = os.environ.get("GANTRY_TEST_MINUTES", "")
    if minutes and time.monotonic() - _BEGUN >= float(minutes) * 60:
        pytest.skip(f"left out: the {minutes} minutes of this run are over (GANTRY_TEST_MINUTES)")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GantryServer]:
    """A running server; it must end cleanly after everything the tests did to it."""
    home = tmp_path_factory.mktemp("server")
    running = replicas.start_server(home / "data", home / "buckets")
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def gantry(server: GantryServer) -> Iterator[Gantry]:
    """A world of the test's own."""
    with without_tracebacks(server):
        yield Gantry(server)


@pytest.fixture(scope="session")
def accepting_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GantryServer]:
    """A server that keeps every setting which it does not act on."""
    home = tmp_path_factory.mktemp("accepting")
    names = "notificationConfig,notificationConfigs,streamConfigs,encryptionSpec,auditConfigs"
    running = replicas.start_server(home / "data", home / "buckets", env={"GANTRY_ACCEPT_WITHOUT_EFFECT": names})
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def accepting(accepting_server: GantryServer) -> Gantry:
    """A world of the test's own on that server."""
    return Gantry(accepting_server)


@pytest.fixture(scope="session")
def big_bucket(server: GantryServer) -> str:
    """A bucket of 3,000 tiny instances, for operations that can be watched while they run."""
    path = server.buckets / "big"
    path.mkdir()
    for number in range(BIG):
        (path / f"{number:05d}.dcm").write_bytes(make_instance("1.2.9", f"1.2.9.{number % 7}", f"1.2.9.9.{number}"))
    return path.name
