"""``operations``: list, describe, errors, wait, cancel."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime
from itertools import islice

from gantry.client.session import Session
from gantry.client.terminal import duration, fields, note, printable, say, say_json, table
from gantry.client.transfer import failure_text, finish, log_entry
from gantry.client.view import OperationView
from gantry.errors import InvalidArgument
from gantry.names import OperationName


def list_(args: Namespace) -> int:
    """Newest first: number, method, state, counts, age."""
    if args.limit < 0:
        raise InvalidArgument("--limit: must be zero or more")
    session = Session.of(args)
    dataset = session.dataset_or_default(args.dataset)
    found = list(islice(session.api.list(f"{dataset}/operations"), args.limit or None))
    if args.json:
        say_json(found)
    elif not found:
        note(f"no operations in {dataset}")
    else:
        head = ("ID", "METHOD", "STATUS", "SUCCEEDED", "FAILED", "PENDING", "TOOK", "AGE")
        table(head, [_row(OperationView(item)) for item in found], right=("ID", *head[3:]))
    return 0


def describe(args: Namespace) -> int:
    """One operation, field by field."""
    session, name = _operation(args)
    view = OperationView(session.api.get(str(name)))
    if args.json:
        say_json(view.json)
        return 0
    fields(
        (
            ("operation", view.name),
            ("method", view.method),
            ("status", view.state),
            ("succeeded", f"{view.success:,}"),
            ("failed", f"{view.failure:,}"),
            ("pending", f"{view.total - view.finished:,}"),
            ("started", view.create_time.isoformat(" ", "seconds")),
            ("took" if view.done else "running for", duration(view.seconds)),
            ("error", str(view.error.get("message", ""))),
            ("logs", view.logs_url),
        )
    )
    return 0


def errors(args: Namespace) -> int:
    """Each failed object and the reason, page after page as they come."""
    session, name = _operation(args)
    found = False
    for entry in session.api.log(str(name)):
        found = True
        if args.json:
            say_json(entry, indent=None)
        else:
            say(failure_text(*log_entry(entry)))
    if not found:
        note("no errors have been logged")
    return 0


def wait(args: Namespace) -> int:
    """Follow an operation to its end, as import and export do."""
    session, name = _operation(args)
    return finish(session, str(name), args.json)


def cancel(args: Namespace) -> int:
    """Ask the operation to stop."""
    session, name = _operation(args)
    session.api.post(f"{name}:cancel", {})
    view = OperationView(session.api.get(str(name)))
    if args.json:
        say_json(view.json)
    elif view.done and not view.cancelled:
        say(printable(f"operation {name.id} had ended before; nothing was cancelled"))
    else:
        say(printable(f"operation {name.id} ends after its present batch; what was done before remains"))
    return 0


def _operation(args: Namespace) -> tuple[Session, OperationName]:
    session = Session.of(args)
    return session, session.operation(args.operation, args.dataset)


def _row(view: OperationView) -> tuple[str, ...]:
    age = (datetime.now(UTC) - view.create_time).total_seconds()
    counts = [f"{count:,}" for count in (view.success, view.failure, view.total - view.finished)]
    return (view.id, view.method, view.state, *counts, duration(view.seconds), duration(age))
