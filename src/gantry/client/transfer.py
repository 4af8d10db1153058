"""``import`` and ``export``; follow and summarize any operation."""

from __future__ import annotations

from argparse import Namespace
from itertools import islice

from rich.text import Text

from gantry.client.api import Json
from gantry.client.connection import Connection
from gantry.client.progress import follow, format_rate
from gantry.client.terminal import format_duration, note, printable, say, say_json
from gantry.client.view import OperationView
from gantry.errors import Unavailable
from gantry.sizes import format_size

SHOWN_FAILURES = 5
OBJECTS_FAILED, OPERATION_FAILED = 1, 4
"""Exit codes; ``gantry --help`` explains all."""


def import_(args: Namespace) -> int:
    """Start an import and follow it."""
    body: Json = {"gcsSource": {"uri": args.uri}}
    if args.storage_class:
        body["blobStorageSettings"] = {"blobStorageClass": args.storage_class}
    return _start(args, "import", body)


def export(args: Namespace) -> int:
    """Start an export and follow it."""
    destination = {"uriPrefix": args.uri}
    if args.mime_type:
        destination["mimeType"] = args.mime_type
    body: Json = {"gcsDestination": destination}
    if args.filter:
        body["filterConfig"] = {"resourcePathsGcsUri": args.filter}
    return _start(args, "export", body)


def _start(args: Namespace, verb: str, body: Json) -> int:
    connection = Connection.of(args)
    started = connection.api.post(f"{connection.store(args.store)}:{verb}", body)
    if not args.detach:
        return finish(connection, started["name"], args.json)
    if args.json:
        say_json(started)
    else:
        say(printable(started["name"]))
        note(f"follow it: {connection.command('wait', started['name'])}")
    return 0


def finish(connection: Connection, name: str, as_json: bool) -> int:
    """Follow an operation to its end and print it. Exit code: 0 without an error, 1 where objects failed, 4 where it
    failed itself or was cancelled, 130 after Ctrl-C."""
    try:
        view = follow(connection.api, name)
    except KeyboardInterrupt:
        _note_commands(connection, name, "The operation continues.")
        return 130
    except Unavailable:
        _note_commands(connection, name, "The operation continues when the server runs again.")
        raise
    if as_json:
        say_json(view.json)
    else:
        summarize(connection, view)
    if view.error and (view.is_cancelled or not view.failure):
        return OPERATION_FAILED
    return OBJECTS_FAILED if view.error else 0


def _note_commands(connection: Connection, name: str, sentence: str) -> None:
    note(sentence, "bold")
    for label, verb in (("follow it:", "wait"), ("cancel it:", "cancel")):
        note(f"  {label} {connection.command(verb, name)}", "default")


def summarize(connection: Connection, view: OperationView) -> None:
    """Print the outcome in one line, the first failures, and the command that lists all."""
    say(format_headline(view))
    if view.unchecked:
        say(f"  {format_unchecked(view)}", "dim")
    _print_warnings(connection, view)
    samples = view.samples[:SHOWN_FAILURES]
    if view.error and not view.failure:
        say(f"  {printable(str(view.error.get('message', '')))}")
        return
    for resource, reason in samples:
        say(format_failure(resource, reason))
    if view.failure:
        rest = "" if view.failure == len(samples) else f"{view.failure - len(samples):,} more, "
        say(Text.assemble((f"  {rest}all of them: ", "dim"), connection.command("errors", view.name)))


def _print_warnings(connection: Connection, view: OperationView) -> None:
    """Print the warnings of an operation without failures, such as filter lines that name nothing."""
    if view.error or view.method == "import":
        return
    entries = list(islice(connection.api.log(view.name), SHOWN_FAILURES + 1))
    for entry in entries[:SHOWN_FAILURES]:
        resource, message = read_log_entry(entry)
        say(format_failure(resource, message))
    if len(entries) > SHOWN_FAILURES:
        say(Text.assemble(("  more: ", "dim"), connection.command("errors", view.name)))


def format_headline(view: OperationView) -> Text:
    """``✓ import: 129 succeeded, 1.6 MiB in 0.4 s (322/s, 4.2 MiB/s)``."""
    mark, style = ("✓", "green") if not view.error else ("✗", "red")
    ending = {"succeeded": "", "errors": " finished with errors"}.get(view.state, f" {view.state}")
    counts = [f"{view.success:,} succeeded"] if view.finished or not view.error else []
    if view.failure:
        counts.append(f"{view.failure:,} failed")
    if view.total > view.finished:
        counts.append(f"{view.total - view.finished:,} not done")
    if view.bytes:
        counts.append(format_size(view.bytes))
    rate = format_rate(view)
    tail = f" in {format_duration(view.seconds)}" + (f" ({rate})" if rate else "")
    return Text.assemble(
        (f"{mark} {view.method}{ending}", f"bold {style}"), f": {', '.join(counts)}".rstrip(": "), tail
    )


def format_unchecked(view: OperationView) -> str:
    """ "" where the bytes of every object were compared."""
    return f"{view.unchecked:,} read unchecked: their provider has no checksum of them" if view.unchecked else ""


def read_log_entry(entry: Json) -> tuple[str, str]:
    """Resource and message of an entry of an error log, the message with its reason (docs/howto/failures.md)."""
    payload = entry.get("jsonPayload", {})
    error = payload.get("error", {})
    reasons = [f"[{each['reason']}]" for each in error.get("details", ()) if each.get("domain") == "gantry"]
    message = " ".join((str(error.get("message", "")), *reasons))
    is_warning = entry.get("severity") == "WARNING"
    return str(
        payload.get("source") or payload.get("resourceName") or ""
    ), f"warning: {message}" if is_warning else message


def format_failure(resource: str, reason: str) -> Text:
    return Text.assemble("  ", (printable(resource), "bold"), ": ", printable(reason))
