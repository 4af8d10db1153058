"""``gantry demo``: real files through a real server, and the proof that they came out as they went in."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.text import Text

from gantry.client.connection import Connection
from gantry.client.progress import follow
from gantry.client.samples import BROKEN, Source, lay_out
from gantry.client.terminal import printable, say
from gantry.client.transfer import format_failure, format_headline
from gantry.client.view import OperationView
from gantry.errors import FailedPrecondition, StatusError, Unavailable

_MARK = ".gantry-demo"
_START_SECONDS = 30.0
_STOP_SECONDS = 20.0


class Difference(Exception):
    """Something came out otherwise than expected."""


def demo(args: Namespace) -> int:
    """Run the demo: 0 when all is as expected, 1 when not. On a terminal the server stays until Ctrl-C."""
    folder = Path(args.data).absolute()
    buckets = folder / "buckets"
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGHUP, _leave)
    say(Text("\nGantry demo\n", "bold"))
    port = _free_port(args.port)
    _clear(folder)
    _step(1, "Lay out real DICOM files as a bucket")
    sources = lay_out(buckets / "demo-in")
    _result(f"gs://demo-in: {_kinds(sources)}", f"and a broken one, {BROKEN}")
    try:
        _step(2, "Start a server")
        with _server(folder, buckets, port) as (process, connection):
            _result(f"{connection.api.server}, data in {_short(folder)}")
            operations = _carry(connection, buckets, sources)
            _show(connection, operations, folder)
            if sys.stdin.isatty() and sys.stdout.isatty():
                _stay(process)
    except (Difference, StatusError) as error:
        say(Text(f"\n✗ {printable(str(error))}", "bold red"))
        return 1
    return 0


@contextmanager
def _server(folder: Path, buckets: Path, port: int) -> Iterator[tuple[subprocess.Popen[bytes], Connection]]:
    """A server of its own for the time of the block."""
    (buckets / "demo-out").mkdir()
    command = [sys.executable, "-m", "gantry", "serve", "--port", str(port)]
    command += ["--data", str(folder / "data"), "--buckets", str(buckets)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GANTRY_")}
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environ, start_new_session=True
        )
    try:
        connection = Connection(f"http://127.0.0.1:{port}", "", "gantry", "us-central1")
        _await_start(process, connection, log)
        yield process, connection
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port(wanted: int | None) -> int:
    """The wanted port, or 8080, or any. Raises FailedPrecondition when it is taken."""
    for port in (wanted,) if wanted else (8080, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except (OSError, OverflowError):
                continue
            return int(probe.getsockname()[1])
    raise FailedPrecondition(f"port {wanted} of 127.0.0.1 is not free; name another one with --port")


def _await_start(process: subprocess.Popen[bytes], connection: Connection, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            connection.api.get("projects/gantry/locations")
        except Unavailable:
            time.sleep(0.1)
        else:
            return
    said = log.read_text(errors="replace").strip().splitlines()
    raise Difference(f"the server did not start: {said[-1] if said else 'it said nothing'} ({log})")


def _carry(connection: Connection, buckets: Path, sources: dict[str, Source]) -> tuple[OperationView, OperationView]:
    """Store, import, export, comparison; the two operations. Raises Difference."""
    api = connection.api
    store = connection.store("demo/main")
    _step(3, "Create a dataset and a DICOM store in it")
    api.post(f"{store.parent.parent}/datasets", {}, datasetId=store.dataset)
    api.post(f"{store.parent}/dicomStores", {}, dicomStoreId=store.store)
    _result(str(store))
    _step(4, "Import gs://demo-in/**")
    started = api.post(f"{store}:import", {"gcsSource": {"uri": "gs://demo-in/**"}})
    imported = follow(api, started["name"])
    say(Text("   ").append_text(format_headline(imported)))
    _check_import(connection, imported, len(sources))
    _step(5, "Export to gs://demo-out/export")
    started = api.post(f"{store}:export", {"gcsDestination": {"uriPrefix": "gs://demo-out/export"}})
    exported = follow(api, started["name"])
    say(Text("   ").append_text(format_headline(exported)))
    _expect("exported", exported.success, len(sources))
    _step(6, "Compare every exported file with the one that went in")
    size = _compare(buckets / "demo-out" / "export", sources)
    _result(f"{len(sources)} of {len(sources)} identical, byte for byte ({size / 1e6:.1f} MB, SHA-256)", style="green")
    return imported, exported


def _check_import(connection: Connection, imported: OperationView, expected: int) -> None:
    """The good ones are in, and the log names the broken one."""
    failures = [
        (entry["jsonPayload"].get("source", ""), entry["jsonPayload"]["error"]["message"])
        for entry in connection.api.log(imported.name)
    ]
    for resource, reason in failures:
        say(Text(" ").append_text(format_failure(resource, reason)))
    _expect("imported", imported.success, expected)
    _expect("failed", [resource for resource, _ in failures], [f"gs://demo-in/{BROKEN}"])
    _result("as it should be: the good ones are in, the broken one is named", style="green")


def _compare(folder: Path, sources: dict[str, Source]) -> int:
    """The number of bytes that are the same. Raises Difference when any file is not, or is missing, or too many."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    _expect("exported files", sorted(found), sorted(f"{uids}.dcm" for uids in sources))
    for uids, source in sources.items():
        if hashlib.sha256(found[f"{uids}.dcm"].read_bytes()).hexdigest() != source.sha256:
            raise Difference(f"{found[f'{uids}.dcm']} differs from gs://demo-in/{source.key}")
    return sum(source.size for source in sources.values())


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise Difference(f"{what}: {str(found)[:200]}, expected {str(expected)[:200]}")


def _show(connection: Connection, operations: tuple[OperationView, OperationView], folder: Path) -> None:
    imported, exported = operations
    url = connection.api.server
    say(Text("\nLook at it\n", "bold"))
    for label, value in (
        ("in a browser", f"{url}/console/{imported.name}"),
        ("the import", f"{url}/v1/{imported.name}"),
        ("its errors", imported.logs_url),
        ("the export", f"{url}/v1/{exported.name}"),
        ("what went in", _short(folder / "buckets" / "demo-in")),
        ("what came out", _short(folder / "buckets" / "demo-out" / "export")),
        ("the server's log", _short(folder / "server.log")),
    ):
        say(Text.assemble((f"  {label:<18}", "dim"), printable(value)))
    say(Text("\nTalk to it\n", "bold"))
    say(f"  {connection.command('errors', imported.name)}")
    say(f"  {connection.command('describe', exported.name)}")
    say(f"  export CLOUDSDK_API_ENDPOINT_OVERRIDES_HEALTHCARE={url}/")
    say("  export CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true CLOUDSDK_CORE_PROJECT=gantry")
    say(f"  gcloud healthcare operations describe {imported.id} --dataset=demo")
    say("  gcloud healthcare dicom-stores import gcs main --dataset=demo --gcs-uri='gs://demo-in/incoming/ct/**'")
    say()


def _stay(process: subprocess.Popen[bytes]) -> None:
    say(Text("The server is up. Ctrl-C stops it.", "bold green"))
    try:
        process.wait()
    except KeyboardInterrupt:
        say(Text("\nstopping", "dim"))
        return
    raise Difference("the server has ended by itself")


def _step(number: int, title: str) -> None:
    say(Text.assemble((f"{number}  ", "bold cyan"), (title, "bold")))


def _result(*lines: str, style: str = "") -> None:
    for line in lines:
        say(Text(f"   {printable(line)}", style))


def _kinds(sources: dict[str, Source]) -> str:
    """``129 files: 64 ct, 25 ot, … and 11 others``."""
    kinds = Counter(source.key.split("/")[1] for source in sources.values())
    often = kinds.most_common(5)
    rest = len(sources) - sum(count for _, count in often)
    return f"{len(sources)} files: {', '.join(f'{count} {kind}' for kind, count in often)} and {rest} others"


def _short(path: Path) -> str:
    """Relative to where the user is, when below it."""
    here = Path.cwd()
    return f"./{path.relative_to(here)}" if path.is_relative_to(here) else str(path)


def _clear(folder: Path) -> None:
    """An empty directory that is ours. Raises FailedPrecondition rather than remove what the demo did not make."""
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / _MARK).exists())):
        raise FailedPrecondition(f"{folder} holds something else than a demo; name another directory with --data")
    if (lock := folder / "data" / "lock").exists():
        with lock.open() as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FailedPrecondition(f"the server of another demo is up in {folder}; stop it first") from None
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARK).touch()


def _leave(*_: object) -> None:
    raise SystemExit(143)
