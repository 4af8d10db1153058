"""What clients do while a server is recorded: every request and operation that changes something, several at a time."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.faults.power.client import Client
from tests.faults.power.recording import Recording, kill
from tests.support.dicom import make_instance

_chance = random.Random(1)


def make(study: str, series: int, number: int, size: int = 3000) -> tuple[str, bytes]:
    """Path and bytes of an instance; nobody else has its bytes."""
    uids = (study, f"{study}.{series}", f"{study}.{series}.{number}")
    pixels = f"MARK-{_chance.getrandbits(64):016x}".encode() + _chance.randbytes(size)
    return "/".join(uids), make_instance(*uids, pixel_bytes=pixels)


def together(*works: Callable[[], None]) -> None:
    with ThreadPoolExecutor(len(works)) as threads:
        for done in [threads.submit(work) for work in works]:
            done.result()


def store_each(client: Client, store: str, study: str, numbers: Sequence[int], size: int = 3000) -> None:
    for number in numbers:
        client.store(store, dict([make(study, number % 2, number, size)]))


def change_study(client: Client, store: str, study: str, times: int) -> None:
    """STOW, PUT, PATCH and DELETE in one study."""
    client.store(store, dict(make(study, 0, number) for number in range(5)))
    client.refuse(store, dict(make(study, 0, number) for number in range(3)))
    for number in range(5, 5 + times):
        client.store(store, dict([make(study, number % 3, number)]))
        client.store(store, dict([make(study, number % 3, number), make(study, 0, 100 + number)]), method="PUT")
        client.patch(store, make(study, number % 3, number)[0])
        client.delete(store, make(study, 0, 100 + number)[0])
    client.delete(store, f"{study}/{study}.0")


def run_requests(client: Client, times: int = 3) -> None:
    """All requests, of several clients at a time."""
    first, second = client.create_store("first"), client.create_store("second")
    together(
        lambda: change_study(client, first, "1.2.1", times),
        lambda: change_study(client, second, "1.2.2", times),
        lambda: store_each(client, first, "1.2.3", range(3 * times)),
        lambda: store_each(client, first, "1.2.4", range(2), size=1_300_000),
    )
    client.delete(first, "1.2.3")
    client.delete_store(second)


def fill_buckets(recording: Recording, count: int) -> None:
    for number in range(count):
        recording.put(f"in/new/{number:03d}.dcm", *make(f"1.3.{number % 3}", 0, number))
        if number % 4 == 0:
            recording.put(f"in/again/{number:03d}.dcm", *recording.sources[f"in/new/{number:03d}.dcm"])
        elif number % 4 == 1:  # other bytes: refused
            recording.put(f"in/again/{number:03d}.dcm", *make(f"1.3.{number % 3}", 0, number))


def run_operations(client: Client, count: int) -> None:
    """Import, a second one that refuses some; change of class there and back; export, twice to the same place."""
    store = client.create_store("moved")
    client.wait(client.import_(store, "in/new"))
    client.wait(client.import_(store, "in/again", failures=len(range(1, count, 4))))
    together(
        lambda: client.wait(client.change_class(store, "1.3.0", "ARCHIVE")),
        lambda: client.wait(client.export(store, "out/all")),
    )
    client.wait(client.update(store, "1.3.0"))
    client.wait(client.update(store, "1.3.1"))
    client.wait(client.export(store, "out/all"))
    client.wait(client.change_class(store, "1.3.0", "STANDARD"))
    client.delete(store, "1.3.1")
    client.delete_store(store)


def fill_segment(client: Client, count: int = 30) -> str:
    """A store; most of a segment of it is deleted: the next start moves what is left."""
    store = client.create_store("sparse")
    client.store(store, dict(make("1.5", number % 2, number) for number in range(count)))
    client.delete(store, "1.5/1.5.0")
    for number in range(5, count, 2):
        client.delete(store, make("1.5", 1, number)[0])
    return store


def run_all(client: Client, times: int = 1, count: int = 12) -> None:
    """A bit of everything, a kill -9, and a start that goes on."""
    run_requests(client, times)
    run_operations(client, count)
    fill_segment(client, 10)
    kill(client)
    store = client.create_store("last")
    store_each(client, store, "1.4", range(2))
