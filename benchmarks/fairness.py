"""``./run bench fairness``: how long small requests take under pressure, and how long the server takes to stop.

Health, a store, an operation, a search and the metadata of an instance are asked for at a steady pace, on a quiet
server and beside each kind of pressure: pictures, pictures that nobody waits for, uploads, clients that send or read a
few bytes a second, the deletion of a large study, and all of them together. The clients that press run at a low
priority (nice): they are not the product, and on machines of their own they would take no processor time from it.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
from pydicom import dcmread

from benchmarks.corpus import Corpus, make_corpus
from benchmarks.machine import BenchmarkError, work_directory
from benchmarks.pixel_rate import draw_slice
from benchmarks.pressure import Pressing, Pressure
from benchmarks.probing import Probe, Times, probe
from benchmarks.search_growth import fill_index
from benchmarks.service import Service

LIMIT_MS = 100.0
"""Small reads answer within it at the 99th percentile."""
STOP_SECONDS = 20.0
ALL_CLIENTS = "all but the deletion"
_BEGIN_SECONDS = 3.0
"""Until all clients of a kind have begun: processes that start are no load that a server has of its clients."""
_FRAMES = 200
_STUDY = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@dataclass(frozen=True)
class Scene:
    """A server with two ``large`` studies in the store ``bench``, and small and multi-frame instances in ``small``."""

    service: Service
    study: str
    pictures: str
    files: tuple[str, ...]
    large: tuple[str, ...]
    operation: str

    def paths(self) -> dict[str, str]:
        """Short names of the paths that are probed."""
        small = f"{_path(self.service, 'small')}/studies"
        return {
            "/healthz": "health",
            _path(self.service, "small").removesuffix("/dicomWeb"): "store",
            f"/v1/{self.operation}": "operation",
            f"{small}?limit=1": "search",
            f"{self.study}/metadata": "metadata",
        }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks fairness", description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000, help="instances of a study that is deleted (%(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each kind of pressure (%(default)s)")
    parser.add_argument("--only", default="", help="the kinds of pressure whose names contain this")
    parser.add_argument("--dir", help="work in a new directory inside this one")
    options = parser.parse_args(arguments)
    with work_directory(options.dir) as work:
        return _measure(work, options)


def _measure(work: Path, options: argparse.Namespace) -> int:
    slow = []
    with _scene(work, options.rows) as scene:
        print(f"{'ms':28}{'path':12}{'requests':>9}{'p50':>8}{'p99':>8}{'most':>8}")
        for name, press in _kinds(scene).items():
            if options.only in name:
                slow += _phase(scene, name, press, options.seconds)
        stopped = _stop(scene)
    print(f"\nSIGTERM under all of it: ended within {stopped:.1f} s (at most {STOP_SECONDS:g})")
    for line in slow:
        print(f"over {LIMIT_MS:g} ms at p99: {line}")
    return 1 if slow or stopped > STOP_SECONDS else 0


def _phase(scene: Scene, name: str, press: Callable[[ExitStack], None], seconds: float) -> list[str]:
    """One kind of pressure; the paths that were too slow."""
    with ExitStack() as stack:
        press(stack)
        time.sleep(_BEGIN_SECONDS)
        found = probe(Probe(scene.service.url, list(scene.paths()), seconds))
    slow = []
    for path, times in found.items():
        print(_line(name, scene.paths()[path], times), flush=True)
        if times.p99 > LIMIT_MS:
            slow.append(f"{scene.paths()[path]} beside {name}: {times.p99:.0f} ms")
    return slow


def _line(name: str, path: str, times: Times) -> str:
    return f"{name:28}{path:12}{times.count:>9}{times.p50:>8.1f}{times.p99:>8.1f}{times.most:>8.1f}"


def _kinds(scene: Scene) -> dict[str, Callable[[ExitStack], None]]:
    """What presses, by name; each puts its clients on the stack."""
    base, stow = scene.service.url, f"{_path(scene.service, 'small')}/studies"
    plans = {
        "pictures": Pressure("fetch", base, f"{scene.pictures}/rendered", 16),
        "pictures nobody waits for": Pressure("leave", base, f"{scene.pictures}/rendered", 32),
        "uploads": Pressure("upload", base, stow, 8, scene.files),
        "64 slow uploads": Pressure("send_slowly", base, stow, 64, scene.files[:1]),
        "64 slow readers": Pressure("read_slowly", base, scene.study, 64, accept=_STUDY),
    }
    alone = {name: _starting(plan) for name, plan in plans.items()}
    deletion, last = (_deleting(scene, study) for study in scene.large)

    def together(stack: ExitStack) -> None:
        for each in alone.values():
            each(stack)

    def everything(stack: ExitStack) -> None:
        together(stack)
        last(stack)

    quiet: dict[str, Callable[[ExitStack], None]] = {"nothing": lambda _: None}
    return quiet | alone | {"a deletion": deletion, ALL_CLIENTS: together, "all of them": everything}


def _starting(plan: Pressure) -> Callable[[ExitStack], None]:
    def start(stack: ExitStack) -> None:
        stack.enter_context(Pressing(plan))

    return start


def _deleting(scene: Scene, study: str) -> Callable[[ExitStack], None]:
    def delete() -> None:
        start = time.perf_counter()
        answer = httpx.delete(f"{scene.service.url}{study}", timeout=600, trust_env=False)
        print(f"{'':28}the deletion: HTTP {answer.status_code} after {time.perf_counter() - start:.1f} s", flush=True)

    def begin(stack: ExitStack) -> None:
        thread = threading.Timer(_BEGIN_SECONDS + 1, delete)
        thread.start()
        stack.callback(thread.join)

    return begin


def _stop(scene: Scene) -> float:
    """Seconds from SIGTERM to the end of the process, under all kinds of pressure."""
    with ExitStack() as stack:
        _kinds(scene)[ALL_CLIENTS](stack)
        time.sleep(5)
        start = time.perf_counter()
        scene.service.signal(signal.SIGTERM)
        try:
            scene.service.wait_for_end(120)
        except subprocess.TimeoutExpired:
            raise BenchmarkError("the server does not stop") from None
        return time.perf_counter() - start


@contextmanager
def _scene(work: Path, rows: int) -> Iterator[Scene]:
    small = make_corpus(work / "buckets" / "small", 40, 530_000, 20, 1)
    pictures = _multi_frame(work)
    with Service(work / "data", work / "buckets") as service:
        for store in ("bench", "small"):
            service.create_store(store)
        print(f"{2 * rows:,} instances written in {fill_index(work / 'data', 2 * rows, studies=2):.0f} s", flush=True)
        operation = service.start_import("small", "gs://small/**.dcm")
        service.wait(operation)
        picture = _store(service, pictures)
        yield Scene(service, _study(service, small), picture, _files(small), _large(service), operation)


def _multi_frame(work: Path) -> Path:
    """One instance of many large frames."""
    path = work / "frames.dcm"
    corpus = make_corpus(work / "frames", 1, 530_000, 1, 2)
    ds = dcmread(corpus.directory / corpus.slices[0].path)
    ds.Rows = ds.Columns = 512
    ds.NumberOfFrames = str(_FRAMES)
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 0
    ds.PixelData = draw_slice().tobytes() * _FRAMES
    ds.save_as(path)
    return path


def _store(service: Service, path: Path) -> str:
    """The path of the stored instance."""
    answer = httpx.post(
        f"{service.web('small')}/studies",
        content=path.read_bytes(),
        headers={"Content-Type": "application/dicom", "Accept": "application/dicom+json"},
        timeout=120,
        trust_env=False,
    )
    answer.raise_for_status()
    url = answer.json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    return str(url)[len(service.url) :]


def _study(service: Service, corpus: Corpus) -> str:
    return f"{_path(service, 'small')}/studies/{quote(corpus.slices[0].uids[0])}"


def _files(corpus: Corpus) -> tuple[str, ...]:
    return tuple(str(corpus.directory / item.path) for item in corpus.slices[:4])


def _large(service: Service) -> tuple[str, ...]:
    found = httpx.get(f"{service.web('bench')}/studies", timeout=60, trust_env=False).json()
    return tuple(f"{_path(service, 'bench')}/studies/{each['0020000D']['Value'][0]}" for each in found)


def _path(service: Service, store: str) -> str:
    return service.web(store)[len(service.url) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
