"""``gantry demo``: import and export of real files with a real server, and a comparison byte by byte."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.text import Text

from gantry.client.connection import Connection
from gantry.client.demo_buckets import IN, OUT, DemoBuckets, describe_own_bucket, open_buckets, require_libraries
from gantry.client.progress import follow
from gantry.client.samples import BROKEN, Source, lay_out
from gantry.client.terminal import printable, say
from gantry.client.transfer import format_failure, format_headline
from gantry.client.view import OperationView
from gantry.errors import FailedPrecondition, StatusError, Unavailable
from gantry.languages import _, ngettext
from gantry.sizes import format_number, format_size

_MARK = ".gantry-demo"
_START_SECONDS = 30.0
_STOP_SECONDS = 20.0


class Difference(Exception):
    """A result is not as expected."""


def demo(args: Namespace) -> int:
    """Run the demo: 0 when all is as expected, 1 when not. On a terminal the server runs until Ctrl-C."""
    folder = Path(args.data).absolute()
    require_libraries(args.buckets)
    signal.signal(signal.SIGTERM, _exit_on_signal)
    signal.signal(signal.SIGHUP, _exit_on_signal)
    _say_title("\n", _("Gantry demo"))
    port = _find_free_port(args.port)
    _make_folder(folder)
    with open_buckets(args.buckets, folder) as buckets:
        _say_step(1, _("Lay out real DICOM files as a bucket"))
        sources = lay_out(buckets.put)
        broken = _("and a broken one, {name}").format(name=BROKEN)
        _say_result(f"{_name(buckets, IN)}: {_count_kinds(sources)}", broken)
        try:
            _run(folder, buckets, port, sources)
        except (Difference, StatusError) as error:
            say(Text(f"\n✗ {printable(str(error))}", "bold red"))
            return 1
    return 0


def _run(folder: Path, buckets: DemoBuckets, port: int, sources: dict[str, Source]) -> None:
    """Raises Difference, StatusError."""
    _say_step(2, _("Start a server"))
    with _run_server(folder, buckets.config, port) as (process, connection):
        where = _("{url}, data in {folder}")
        _say_result(where.format(url=connection.api.server, folder=_shorten_path(str(folder))))
        operations = _run_steps(connection, buckets, sources)
        _show(connection, operations, buckets, folder)
        if buckets.config is not None:
            _show_own_bucket()
        if sys.stdin.isatty() and sys.stdout.isatty():
            _keep_running(process)
            return
    _say_stopped(folder, buckets.config, port)


def _name(buckets: DemoBuckets, name: str) -> str:
    return f"{buckets.scheme}://{name}"


@contextmanager
def _run_server(folder: Path, config: Path | None, port: int) -> Iterator[tuple[subprocess.Popen[bytes], Connection]]:
    """A server that runs for the time of the block."""
    command = [sys.executable, "-m", "gantry", "serve", "--port", str(port)]
    command += ["--data", str(folder / "data"), "--buckets", str(folder / "buckets")]
    command += ["--config", str(config)] if config else []
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


def _find_free_port(wanted: int | None) -> int:
    """The wanted port, or 8080, or any. Raises FailedPrecondition when it is taken."""
    for port in (wanted,) if wanted else (8080, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except (OSError, OverflowError):
                continue
            return int(probe.getsockname()[1])
    problem = _("port {port} of 127.0.0.1 is not free; name another one with --port")
    raise FailedPrecondition(problem.format(port=wanted))


def _await_start(process: subprocess.Popen[bytes], connection: Connection, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            connection.api.get("projects/gantry/locations")
        except Unavailable:
            time.sleep(0.1)
        else:
            return
    lines = log.read_text(errors="replace").strip().splitlines()
    problem = _("the server did not start: {reason} ({log})")
    raise Difference(problem.format(reason=lines[-1] if lines else _("it logged nothing"), log=log))


def _run_steps(
    connection: Connection, buckets: DemoBuckets, sources: dict[str, Source]
) -> tuple[OperationView, OperationView]:
    """Store, import, export, comparison; the two operations. Raises Difference."""
    api = connection.api
    store = connection.store("demo/main")
    _say_step(3, _("Create a dataset and a DICOM store in it"))
    api.post(f"{store.parent.parent}/datasets", {}, datasetId=store.dataset)
    api.post(f"{store.parent}/dicomStores", {}, dicomStoreId=store.store)
    _say_result(str(store))
    source, target = f"{_name(buckets, IN)}/", f"{_name(buckets, OUT)}/export"
    _say_step(4, _("Import {uri}").format(uri=f"{source}**"))
    started = api.post(f"{store}:import", {"gcsSource": {"uri": f"{source}**"}})
    imported = follow(api, started["name"])
    say(Text("   ").append_text(format_headline(imported)))
    _check_import(connection, imported, source, len(sources))
    _say_step(5, _("Export to {uri}").format(uri=target))
    started = api.post(f"{store}:export", {"gcsDestination": {"uriPrefix": target}})
    exported = follow(api, started["name"])
    say(Text("   ").append_text(format_headline(exported)))
    _expect(_("exported"), exported.success, len(sources))
    _say_step(6, _("Compare every exported file with the one that went in"))
    size = _compare(buckets.read("export"), sources)
    same, count = _("{count} of {count} identical, byte for byte ({size}, SHA-256)"), format_number(len(sources))
    _say_result(same.format(count=count, size=format_size(size)), style="green")
    return imported, exported


def _check_import(connection: Connection, imported: OperationView, source: str, expected: int) -> None:
    """Check the counts, and that the log names the broken file. Raises Difference."""
    failures = [
        (entry["jsonPayload"].get("source", ""), entry["jsonPayload"]["error"]["message"])
        for entry in connection.api.log(imported.name)
    ]
    for resource, reason in failures:
        say(Text(" ").append_text(format_failure(resource, reason)))
    _expect(_("imported"), imported.success, expected)
    _expect(_("failed"), [resource for resource, _reason in failures], [f"{source}{BROKEN}"])
    _say_result(_("as expected: the good files are stored, the log names the broken one"), style="green")


def _compare(found: Mapping[str, bytes], sources: dict[str, Source]) -> int:
    """The number of bytes compared. Raises Difference for a file that differs, is missing or was not expected."""
    _expect(_("exported files"), sorted(found), sorted(f"{uids}.dcm" for uids in sources))
    for uids, source in sources.items():
        if hashlib.sha256(found[f"{uids}.dcm"]).hexdigest() != source.sha256:
            problem = _("what was exported as {name} differs from {source}")
            raise Difference(problem.format(name=f"{uids}.dcm", source=source.key))
    return sum(source.size for source in sources.values())


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        problem = _("{what}: {found}, expected {expected}")
        raise Difference(problem.format(what=what, found=str(found)[:200], expected=str(expected)[:200]))


def _show(
    connection: Connection, operations: tuple[OperationView, OperationView], buckets: DemoBuckets, folder: Path
) -> None:
    imported, exported = operations
    url = connection.api.server
    _say_title("\n", _("Look at it"))
    for label, value in (
        (_("in a browser"), f"{url}/console/{imported.name}"),
        (_("the import"), f"{url}/v1/{imported.name}"),
        (_("its errors"), imported.logs_url),
        (_("the export"), f"{url}/v1/{exported.name}"),
        *buckets.names(),
        (_("the server's log"), str(folder / "server.log")),
    ):
        say(Text.assemble((f"  {label:<20}", "dim"), printable(_shorten_path(value))))
    _say_title("\n", _("Use it"))
    say(f"  {connection.command('errors', imported.name)}")
    say(f"  {connection.command('describe', exported.name)}")
    say(f"  export CLOUDSDK_API_ENDPOINT_OVERRIDES_HEALTHCARE={url}/")
    say("  export CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true CLOUDSDK_CORE_PROJECT=gantry")
    say(f"  gcloud healthcare operations describe {imported.id} --dataset=demo")
    say("  gcloud healthcare dicom-stores import gcs main --dataset=demo --gcs-uri='gs://demo-in/incoming/ct/**'")
    say()


def _show_own_bucket() -> None:
    _say_title("", _("With a bucket of your own"))
    for line in describe_own_bucket(os.environ.get("GANTRY_PROGRAM") or "gantry"):
        say(f"  {line}")
    say()


def _keep_running(process: subprocess.Popen[bytes]) -> None:
    say(Text(_("The server is running. Ctrl-C stops it."), "bold green"))
    try:
        process.wait()
    except KeyboardInterrupt:
        say()
        say(_("stopping"), "dim")
        return
    raise Difference(_("the server ended unexpectedly"))


def _say_stopped(folder: Path, config: Path | None, port: int) -> None:
    """Nobody is at a terminal to end the server, so it has ended; what it has stored is still there."""
    words = ["serve", "--port", str(port), "--data", str(folder / "data"), "--buckets", str(folder / "buckets")]
    words += ["--config", str(config)] if config else []
    say(Text(_("The server has stopped, because this is no terminal. It starts again on the same data with"), "bold"))
    say(f"  {os.environ.get('GANTRY_PROGRAM') or 'gantry'} {shlex.join(map(_shorten_path, words))}")


def _say_title(before: str, title: str) -> None:
    say(Text(f"{before}{title}\n", "bold"))


def _say_step(number: int, title: str) -> None:
    say(Text.assemble((f"{number}  ", "bold cyan"), (title, "bold")))


def _say_result(*lines: str, style: str = "") -> None:
    for line in lines:
        say(Text(f"   {printable(line)}", style))


def _count_kinds(sources: dict[str, Source]) -> str:
    """``129 files: 64 ct, 25 ot, … and 11 others``."""
    kinds = Counter(source.key.split("/")[1] for source in sources.values())
    often = kinds.most_common(5)
    rest = len(sources) - sum(count for _kind, count in often)
    text = ngettext("{count} file: {kinds} and {rest} others", "{count} files: {kinds} and {rest} others", len(sources))
    kinds_of = ", ".join(f"{format_number(count)} {kind}" for kind, count in often)
    return text.format(count=format_number(len(sources)), kinds=kinds_of, rest=format_number(rest))


def _shorten_path(text: str) -> str:
    """A path relative to where the user is, when below it; all else as it is."""
    here = Path.cwd()
    return f"./{Path(text).relative_to(here)}" if Path(text).is_relative_to(here) else text


def _make_folder(folder: Path) -> None:
    """Make an empty directory. Raises FailedPrecondition where it holds what the demo did not make."""
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / _MARK).exists())):
        problem = _("{folder} holds files that are not of a demo; name another directory with --data")
        raise FailedPrecondition(problem.format(folder=folder))
    if (lock := folder / "data" / "lock").exists():
        with lock.open() as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                problem = _("the server of another demo is running in {folder}; stop it first")
                raise FailedPrecondition(problem.format(folder=folder)) from None
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARK).touch()


def _exit_on_signal(*_: object) -> None:
    raise SystemExit(143)
