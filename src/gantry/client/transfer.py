"""``import`` and ``export``, and how any operation is followed and summed up."""

from __future__ import annotations

from argparse import Namespace
from itertools import islice

from rich.text import Text

from gantry.client.api import Json
from gantry.client.progress import follow, rate_text
from gantry.client.session import Session
from gantry.client.terminal import duration, note, printable, say, say_json
from gantry.client.view import OperationView
from gantry.errors import Unavailable

SHOWN_FAILURES = 5


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
    session = Session.of(args)
    started = session.api.post(f"{session.store(args.store)}:{verb}", body)
    if not args.detach:
        return finish(session, started["name"], args.json)
    if args.json:
        say_json(started)
    else:
        say(printable(started["name"]))
        note(f"follow it: {session.command('wait', started['name'])}")
    return 0


def finish(session: Session, name: str, as_json: bool) -> int:
    """Follow an operation to its end and print it: 0 without an error, 1 with one, 130 after Ctrl-C."""
    try:
        view = follow(session.api, name)
    except KeyboardInterrupt:
        _tell_how_to_follow(session, name, "The operation goes on.")
        return 130
    except Unavailable:
        _tell_how_to_follow(session, name, "The operation goes on when the server does.")
        raise
    if as_json:
        say_json(view.json)
    else:
        summarize(session, view)
    return 1 if view.error else 0


def _tell_how_to_follow(session: Session, name: str, sentence: str) -> None:
    note(sentence, "bold")
    for label, verb in (("follow it:", "wait"), ("cancel it:", "cancel")):
        note(f"  {label} {session.command(verb, name)}", "default")


def summarize(session: Session, view: OperationView) -> None:
    """The outcome in one line, the first failures, and where the rest is."""
    say(headline(view))
    _tell_warnings(session, view)
    samples = view.samples[:SHOWN_FAILURES]
    if view.error and not view.failure:
        say(f"  {printable(str(view.error.get('message', '')))}")
        return
    for resource, reason in samples:
        say(failure_text(resource, reason))
    if view.failure:
        rest = "" if view.failure == len(samples) else f"{view.failure - len(samples):,} more, "
        say(Text.assemble((f"  {rest}all of them: ", "dim"), session.command("errors", view.name)))


def _tell_warnings(session: Session, view: OperationView) -> None:
    """What an operation that failed in nothing was warned of, such as lines of a filter file that name nothing."""
    if view.error or view.method == "import":
        return
    entries = list(islice(session.api.log(view.name), SHOWN_FAILURES + 1))
    for entry in entries[:SHOWN_FAILURES]:
        resource, message = log_entry(entry)
        say(failure_text(resource, message))
    if len(entries) > SHOWN_FAILURES:
        say(Text.assemble(("  more: ", "dim"), session.command("errors", view.name)))


def headline(view: OperationView) -> Text:
    """``✓ import: 129 succeeded in 0.4 s (322/s)``."""
    mark, style = ("✓", "green") if not view.error else ("✗", "red")
    ending = {"succeeded": "", "errors": " finished with errors"}.get(view.state, f" {view.state}")
    counts = [f"{view.success:,} succeeded"] if view.finished or not view.error else []
    if view.failure:
        counts.append(f"{view.failure:,} failed")
    if view.total > view.finished:
        counts.append(f"{view.total - view.finished:,} not done")
    rate = rate_text(view)
    tail = f" in {duration(view.seconds)}" + (f" ({rate})" if rate else "")
    return Text.assemble(
        (f"{mark} {view.method}{ending}", f"bold {style}"), f": {', '.join(counts)}".rstrip(": "), tail
    )


def log_entry(entry: Json) -> tuple[str, str]:
    """What an entry of an error log names, and what it says."""
    payload = entry.get("jsonPayload", {})
    message = str(payload.get("error", {}).get("message", ""))
    warned = entry.get("severity") == "WARNING"
    return str(payload.get("source") or payload.get("resourceName") or ""), f"warning: {message}" if warned else message


def failure_text(resource: str, reason: str) -> Text:
    return Text.assemble("  ", (printable(resource), "bold"), ": ", printable(reason))
