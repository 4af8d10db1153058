"""Functions for worker processes."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from pathlib import Path
from typing import NoReturn

from gantry.beats import beat
from gantry.errors import InvalidArgument, Unavailable
from gantry.request_times import request_times
from gantry.seams import BlobStore


class OddError(Exception):
    """Cannot be unpickled: the constructor wants more than ``args`` holds."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def add(first: int, second: int = 0) -> int:
    return first + second


def ask_a_bucket(kind: str) -> object:
    """One request to a bucket, as ``/metrics`` counts them. Of the kind ``odd`` the outcome cannot travel back."""
    request_times.measure("s3", _give_no_answer if kind == "none" else str)
    return a_lambda() if kind == "odd" else kind


def _give_no_answer() -> NoReturn:
    raise Unavailable("no answer")


def refuse(message: str) -> NoReturn:
    raise InvalidArgument(message, ({"field": "f"},))


def refuse_oddly() -> NoReturn:
    raise OddError("odd", "error")


def a_lambda() -> object:
    return lambda: None


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def leave() -> NoReturn:
    os._exit(0)


def touch(path: Path) -> None:
    path.touch()


def wait_for(path: Path) -> bool:
    """Return when ``path`` is there."""
    for _ in range(3000):
        if path.exists():
            return True
        time.sleep(0.01)
    return False


def touch_blob(path: Path, *, blobs: object) -> None:
    path.touch()


def wait_for_blob(path: Path, *, blobs: object, size: int) -> bool:
    return wait_for(path)


def meet(directory: Path, name: str, count: int) -> int:
    """Return this process's id when ``count`` calls are here at the same time."""
    (directory / name).touch()
    for _ in range(3000):
        if len(list(directory.iterdir())) >= count:
            return os.getpid()
        time.sleep(0.01)
    raise TimeoutError(f"fewer than {count} came")


def beat_and_hang(seconds: float) -> NoReturn:
    """Promises a sign of life within ``seconds`` and gives none."""
    beat(seconds)
    threading.Event().wait()
    raise AssertionError("never reached")


def beat_and_go_on(count: int) -> int:
    """Beats often enough to take as long as it likes, then asks for unlimited time."""
    for _ in range(count):
        beat(30)
    beat(None)
    return count


class DiesWhileItLoads:
    """An argument that ends the first worker which loads it; ``path`` says that one has."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, ...]:
        return load_once_in_vain, (self._path,)


def load_once_in_vain(path: Path) -> str:
    if not path.exists():
        path.touch()
        die()
    return "loaded"


def give_back(value: object) -> object:
    return value


def count_page_faults(rounds: int, size: int) -> int:
    """Of as many rounds, each of which needs three buffers of a size in bytes at a time and lets them go."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        buffers = [b"x" * size for _ in range(3)]
        buffers.clear()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def read_object(bucket: BlobStore, key: str) -> bytes:
    with bucket.open(key) as opened:
        return b"".join(opened.chunks())


def meet_and_wait(directory: Path, go: Path) -> int:
    """Say which process has the call, then wait."""
    (directory / str(os.getppid())).touch()
    wait_for(go)
    return os.getppid()


def find_worker() -> int:
    return os.getppid()


def kill_worker() -> NoReturn:
    """End the process above, as if its machine died."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)
    raise AssertionError
