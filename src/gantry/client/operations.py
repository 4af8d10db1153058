"""``operations``: list, describe, errors, wait, cancel."""

from __future__ import annotations

import math
from argparse import Namespace
from datetime import UTC, datetime
from itertools import islice

from gantry.client.connection import Connection
from gantry.client.terminal import fields, format_duration, note, printable, say, say_json, table
from gantry.client.transfer import finish, format_failure, format_unchecked, read_log_entry
from gantry.client.view import OperationView
from gantry.errors import InvalidArgument
from gantry.names import OperationName


def list_(args: Namespace) -> int:
    """Newest first: number, method, state, counts, age."""
    if args.limit < 0:
        raise InvalidArgument("--limit: must be zero or more")
    connection = Connection.of(args)
    dataset = connection.dataset_or_default(args.dataset)
    operations = list(islice(connection.api.list(f"{dataset}/operations"), args.limit or None))
    if args.json:
        say_json(operations)
    elif not operations:
        note(f"no operations in {dataset}")
    else:
        head = ("ID", "METHOD", "STATUS", "SUCCEEDED", "FAILED", "PENDING", "TOOK", "AGE")
        table(head, [_row(OperationView(item)) for item in operations], right=("ID", *head[3:]))
    return 0


def describe(args: Namespace) -> int:
    """One operation, field by field."""
    connection, name = _operation(args)
    view = OperationView(connection.api.get(str(name)))
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
            ("bytes", f"{view.bytes:,}" if view.bytes else ""),
            ("unchecked", format_unchecked(view)),
            ("started", view.create_time.isoformat(" ", "seconds")),
            ("took" if view.done else "running for", format_duration(view.seconds)),
            ("waits for", view.waits_for),
            ("next attempt", view.next_attempt.isoformat(" ", "seconds") if view.next_attempt else ""),
            ("error", str(view.error.get("message", ""))),
            ("logs", view.logs_url),
        )
    )
    return 0


def errors(args: Namespace) -> int:
    """Print each object that failed, with the reason, page by page."""
    connection, name = _operation(args)
    is_empty = True
    for entry in connection.api.log(str(name)):
        is_empty = False
        if args.json:
            say_json(entry, indent=None)
        else:
            say(format_failure(*read_log_entry(entry)))
    if is_empty:
        note("no errors have been logged")
    return 0


def wait(args: Namespace) -> int:
    """Follow an operation to its end, as import and export do, or for ``--timeout`` seconds."""
    if args.timeout is not None and not 0 <= args.timeout < math.inf:
        raise InvalidArgument("--timeout: must be zero seconds or more")
    connection, name = _operation(args)
    return finish(connection, str(name), args.json, args.timeout)


def cancel(args: Namespace) -> int:
    """Ask the operation to stop."""
    connection, name = _operation(args)
    connection.api.post(f"{name}:cancel", {})
    view = OperationView(connection.api.get(str(name)))
    if args.json:
        say_json(view.json)
    elif view.done and not view.is_cancelled:
        say(printable(f"operation {name.id} had already ended; nothing was cancelled"))
    else:
        say(printable(f"operation {name.id} is being cancelled; what it has done so far is kept"))
    return 0


def _operation(args: Namespace) -> tuple[Connection, OperationName]:
    connection = Connection.of(args)
    return connection, connection.operation(args.operation, args.dataset)


def _row(view: OperationView) -> tuple[str, ...]:
    age = (datetime.now(UTC) - view.create_time).total_seconds()
    counts = [f"{count:,}" for count in (view.success, view.failure, view.total - view.finished)]
    return (view.id, view.method, view.state, *counts, format_duration(view.seconds), format_duration(age))
