"""Names on the command line that would be another address: no request is sent."""

from __future__ import annotations

import pytest

from tests.cli.harness import Server, Stub, run

FULL = "projects/p/locations/us-central1/datasets"
BAD = ["d/..", "../..", "./s", "d/..;x", "d/a\nb", "d/\u202es", f"{FULL}/d/dicomStores/..", f"{FULL}/../dicomStores/s"]
BAD_DATASETS = ["..", ".", "a\r\nb", f"{FULL}/..", f"{FULL}/", "projects/../locations/us-central1/datasets/d"]
COMMANDS = [
    *(command for store in BAD for command in (
        ("stores", "delete", store, "--yes"),
        ("stores", "describe", store),
        ("stores", "create", store),
        ("import", "gs://b/**", "--store", store),
        ("export", "gs://b/x", "--store", store),
    )),
    *(command for dataset in BAD_DATASETS for command in (
        ("datasets", "delete", dataset, "--yes"),
        ("datasets", "create", dataset),
        ("stores", "list", "--dataset", dataset),
        ("operations", "list", "--dataset", dataset),
        ("operations", "cancel", "7", "--dataset", dataset),
        ("operations", "errors", f"{FULL}/../operations/7"),
    )),
    *((*command, flag, value)
      for value in ("..", ".", "a/b", "")
      for flag in ("--project", "--location")
      for command in (("stores", "delete", "d/s", "--yes"), ("datasets", "list"))
      if value),
    ("viewer", "install", "--version", ".."),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=repr)
def test_nothing_is_asked_of_the_server(stub: Stub, command: tuple[str, ...]) -> None:
    done = run(*command, env={"GANTRY_SERVER": stub.url, "NPM_CONFIG_REGISTRY": stub.url})
    assert (done.returncode, stub.requests) == (2, []), done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_with_letters_of_addresses_is_sent_encoded(stub: Stub) -> None:
    run("datasets", "delete", "é?#%2e%2e", "--yes", "--project", "a?b", env={"GANTRY_SERVER": stub.url})
    assert stub.requests == [("GET", "/v1/projects/a%3Fb/locations/us-central1/datasets/%C3%A9%3F%23%252e%252e")]


def test_deleting_a_store_by_dots_leaves_the_dataset(server: Server, store: str) -> None:
    done = server("stores", "delete", f"{store.partition('/')[0]}/..", "--yes")
    assert done.returncode == 2
    assert server("stores", "describe", store).returncode == 0
