"""Connections to buckets: one client for each, and a bounded number of them."""

from __future__ import annotations

from gantry.storage.remote.client import MOST_CLIENTS, find_client
from gantry.storage.remote.place import RemotePlace


def make_place(number: int) -> RemotePlace:
    return RemotePlace("s3", f"b{number}", f"s3://b{number}", access_key_id="k")


def test_a_bucket_has_one_client() -> None:
    first = find_client(make_place(1))
    assert find_client(make_place(1)) is first
    assert find_client(make_place(2)) is not first
    assert find_client(RemotePlace("s3", "b1", "gs://other", access_key_id="k")) is not first


def test_clients_that_were_not_asked_for_lately_are_given_up() -> None:
    """An entry of the settings may stand for any number of buckets."""
    used, unused = find_client(make_place(0)), find_client(make_place(1))
    for number in range(2, 3 * MOST_CLIENTS):
        find_client(make_place(number))
        assert find_client(make_place(0)) is used
    assert find_client(make_place(1)) is not unused
