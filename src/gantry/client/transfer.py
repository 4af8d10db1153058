"""``export`` and ``storage-class set``; follow and summarize any operation."""

from __future__ import annotations

from argparse import Namespace
from itertools import islice, pairwise

from rich.text import Text

from gantry.client.api import Json
from gantry.client.connection import Connection
from gantry.client.messages import describe_failure, find_reason, list_advice
from gantry.client.progress import follow, format_rate
from gantry.client.terminal import format_duration, note, printable, say, say_json
from gantry.client.view import OperationView
from gantry.errors import InvalidArgument, Unavailable
from gantry.languages import _, ngettext
from gantry.names import ResourcePath, check_segments
from gantry.operation_state import State
from gantry.sizes import format_number, format_size

SHOWN_FAILURES = 5
OBJECTS_FAILED, OPERATION_FAILED, OUT_OF_TIME, INTERRUPTED = 1, 4, 124, 130
"""Exit codes; ``gantry --help`` explains all."""


def export(args: Namespace) -> int:
    """Start an export and follow it."""
    destination = {"uriPrefix": args.uri}
    if args.mime_type:
        destination["mimeType"] = args.mime_type
    body: Json = {"gcsDestination": destination}
    if args.filter:
        body["filterConfig"] = {"resourcePathsGcsUri": args.filter}
    connection = Connection.of(args)
    return _start(args, connection, f"{connection.store(args.store)}:export", body)


def set_storage_class(args: Namespace) -> int:
    """Start to move a study, a series, an instance, or what a filter file names to a class, and follow it."""
    connection = Connection.of(args)
    path = read_path(args.study, args.series, args.instance)
    if bool(path) == bool(args.filter):
        raise InvalidArgument(
            _("what shall be moved? Give --study UID [--series UID [--instance UID]], or --filter gs://…")
        )
    body: Json = {"blobStorageSettings": {"blobStorageClass": args.storage_class}}
    if args.filter:
        body["filterConfig"] = {"resourcePathsGcsUri": args.filter}
    resource = f"{connection.store(args.store)}{path and f'/dicomWeb/{path}'}"
    return _start(args, connection, f"{resource}:setBlobStorageSettings", body)


def read_path(study: str | None, series: str | None = None, instance: str | None = None) -> str:
    """``studies/UID/series/UID`` of what the flags name; "" without any. Raises InvalidArgument."""
    given = [uid or "" for uid in (study, series, instance)]
    if any(below and not above for above, below in pairwise(given)):
        raise InvalidArgument(_("--series needs --study, and --instance needs --series"))
    check_segments(*filter(None, given))
    return str(ResourcePath(*given))


def _start(args: Namespace, connection: Connection, method: str, body: Json) -> int:
    started = connection.api.post(method, body)
    if args.detach:
        return tell_started(connection, started, args.json)
    return finish(connection, started["name"], args.json)


def tell_started(connection: Connection, started: Json, as_json: bool) -> int:
    """For ``--async``."""
    if as_json:
        say_json(started)
    else:
        say(printable(started["name"]))
        note(_("follow it: {command}").format(command=connection.command("wait", started["name"])))
    return 0


def finish(connection: Connection, name: str, as_json: bool, timeout: float | None = None) -> int:
    """Follow an operation to its end and print it. The exit code is that of ``code_of``, or 130 after Ctrl-C."""
    view = await_end(connection, name, timeout)
    if view is None:
        return INTERRUPTED
    if as_json:
        say_json(view.json)
    elif view.done:
        summarize(connection, view)
    return code_of(view)


def await_end(connection: Connection, name: str, timeout: float | None = None) -> OperationView | None:
    """What an operation is at its end, or after ``timeout`` seconds; None after Ctrl-C. Raises what ``follow`` does."""
    try:
        view = follow(connection.api, name, timeout)
    except KeyboardInterrupt:
        _note_commands(connection, name, _("The operation continues."))
        return None
    except Unavailable:
        _note_commands(connection, name, _("The operation continues when the server runs again."))
        raise
    if not view.done:
        sentence = _("It has not ended after {seconds} s. The operation continues.")
        _note_commands(connection, name, sentence.format(seconds=f"{timeout:g}"))
    return view


def code_of(view: OperationView) -> int:
    """Exit code: 0 without an error, 1 where objects failed, 4 where the operation failed itself or was cancelled, 124
    where it has not ended."""
    if not view.done:
        return OUT_OF_TIME
    if view.error and (view.is_cancelled or not view.failure):
        return OPERATION_FAILED
    return OBJECTS_FAILED if view.error else 0


def _note_commands(connection: Connection, name: str, sentence: str) -> None:
    note(sentence, "bold")
    for text, verb in ((_("follow it: {command}"), "wait"), (_("cancel it: {command}"), "cancel")):
        note(f"  {text.format(command=connection.command(verb, name))}", "default")


def summarize(connection: Connection, view: OperationView) -> None:
    """Print the outcome in one line, the first failures, and the command that lists all."""
    say(format_headline(view))
    if view.unchecked:
        say(f"  {format_unchecked(view)}", "dim")
    _print_warnings(connection, view)
    samples = view.samples[:SHOWN_FAILURES]
    if view.error and not view.failure:
        say(f"  {printable(view.error_message)}")
        return
    for each in samples:
        say(format_failure(each.resource, each.message))
    for advice in list_advice(each.reason for each in samples):
        say(f"  {advice}", "dim")
    if left := view.failure - len(samples):
        more = ngettext("{count} more, all of them: ", "{count} more, all of them: ", left)
        _say_command(connection, more.format(count=format_number(left)), view)
    elif view.failure:
        _say_command(connection, _("all of them: "), view)


def _say_command(connection: Connection, label: str, view: OperationView) -> None:
    """The command that lists all entries of the error log."""
    say(Text.assemble((f"  {label}", "dim"), connection.command("errors", view.name)))


def _print_warnings(connection: Connection, view: OperationView) -> None:
    """Print the warnings of an operation without failures, such as filter lines that name nothing."""
    if view.error or view.method == "import":
        return
    entries = list(islice(connection.api.log(view.name), SHOWN_FAILURES + 1))
    for entry in entries[:SHOWN_FAILURES]:
        resource, message = read_log_entry(entry)
        say(format_failure(resource, message))
    if len(entries) > SHOWN_FAILURES:
        _say_command(connection, _("more: "), view)


def format_headline(view: OperationView) -> Text:
    """``✓ import: 129 succeeded, 1.6 MiB in 0.4 s (322/s, 4.2 MiB/s)``."""
    mark, style = ("✓", "green") if not view.error else ("✗", "red")
    counts = [format_succeeded(view.success)] if view.finished or not view.error else []
    if view.failure:
        counts.append(format_failed(view.failure))
    if view.total > view.finished:
        counts.append(format_not_done(view.total - view.finished))
    if view.bytes:
        counts.append(format_size(view.bytes))
    rate = format_rate(view)
    tail = _(" in {duration}").format(duration=format_duration(view.seconds)) + (f" ({rate})" if rate else "")
    return Text.assemble((f"{mark} {_title(view)}", f"bold {style}"), f": {', '.join(counts)}".rstrip(": "), tail)


def _title(view: OperationView) -> str:
    """The method, and how it ended where not as it should."""
    if view.state == State.SUCCEEDED:
        return view.title
    if view.state == State.PARTIAL:
        return _("{method} finished with errors").format(method=view.title)
    # For translators: the state is one of running, waiting, cancelling, failed, cancelled.
    return _("{method} {state}").format(method=view.title, state=view.state_title)


def format_succeeded(count: int) -> str:
    return ngettext("{count} succeeded", "{count} succeeded", count).format(count=format_number(count))


def format_failed(count: int) -> str:
    """Of objects, and files."""
    return ngettext("{count} failed", "{count} failed", count).format(count=format_number(count))


def format_not_done(count: int) -> str:
    return ngettext("{count} not done", "{count} not done", count).format(count=format_number(count))


def format_unchecked(view: OperationView) -> str:
    """ "" where the bytes of every object were compared."""
    if not view.unchecked:
        return ""
    text = ngettext(
        "{count} read unchecked: its provider has no checksum of it",
        "{count} read unchecked: their provider has no checksum of them",
        view.unchecked,
    )
    return text.format(count=format_number(view.unchecked))


def read_log_entry(entry: Json) -> tuple[str, str]:
    """Resource and message of an entry of an error log, the message with its reason (docs/howto/failures.md)."""
    payload = entry.get("jsonPayload", {})
    error = payload.get("error", {})
    message = describe_failure(str(error.get("message", "")), find_reason(error.get("details", ())))
    if entry.get("severity") == "WARNING":
        message = _("warning: {message}").format(message=message)
    return str(payload.get("source") or payload.get("resourceName") or ""), message


def format_failure(resource: str, reason: str) -> Text:
    return Text.assemble("  ", (printable(resource), "bold"), ": ", printable(reason))
