"""``operations``: list, describe, errors, wait, cancel."""

from __future__ import annotations

import math
from argparse import Namespace
from datetime import UTC, datetime
from itertools import islice

from gantry.client.connection import Connection
from gantry.client.terminal import fields, format_duration, note, say, say_json, table
from gantry.client.transfer import finish, format_failure, format_unchecked, read_log_entry
from gantry.client.view import OperationView
from gantry.errors import InvalidArgument
from gantry.languages import _
from gantry.names import OperationName
from gantry.sizes import format_number


def list_(args: Namespace) -> int:
    """Newest first: number, method, state, counts, age."""
    if args.limit < 0:
        raise InvalidArgument(_("{flag}: must be zero or more").format(flag="--limit"))
    connection = Connection.of(args)
    dataset = connection.dataset_or_default(args.dataset)
    operations = list(islice(connection.api.list(f"{dataset}/operations"), args.limit or None))
    if args.json:
        say_json(operations)
    elif not operations:
        note(_("no operations in {dataset}").format(dataset=dataset))
    else:
        head = (
            *("ID", _("METHOD"), _("STATUS"), _("SUCCEEDED"), _("FAILED"), _("PENDING")),
            *(_("TOOK"), _("AGE")),
        )
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
            (_("operation"), view.name),
            (_("method"), view.title),
            (_("status"), view.state_title),
            (_("succeeded"), format_number(view.success)),
            (_("failed"), format_number(view.failure)),
            (_("pending"), format_number(view.total - view.finished)),
            (_("bytes"), format_number(view.bytes) if view.bytes else ""),
            (_("unchecked"), format_unchecked(view)),
            (_("started"), view.create_time.isoformat(" ", "seconds")),
            (_("took") if view.done else _("running for"), format_duration(view.seconds)),
            (_("waits for"), view.waits_for),
            (_("next attempt"), view.next_attempt.isoformat(" ", "seconds") if view.next_attempt else ""),
            (_("error"), view.error_message),
            (_("logs"), view.logs_url),
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
        note(_("no errors have been logged"))
    return 0


def wait(args: Namespace) -> int:
    """Follow an operation to its end, as import and export do, or for ``--timeout`` seconds."""
    if args.timeout is not None and not 0 <= args.timeout < math.inf:
        raise InvalidArgument(_("--timeout: must be zero seconds or more"))
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
        say(_("operation {id} had already ended; nothing was cancelled").format(id=name.id))
    else:
        say(_("operation {id} is being cancelled; what it has done so far is kept").format(id=name.id))
    return 0


def _operation(args: Namespace) -> tuple[Connection, OperationName]:
    connection = Connection.of(args)
    return connection, connection.operation(args.operation, args.dataset)


def _row(view: OperationView) -> tuple[str, ...]:
    age = (datetime.now(UTC) - view.create_time).total_seconds()
    counts = map(format_number, (view.success, view.failure, view.total - view.finished))
    return (view.id, view.title, view.state_title, *counts, format_duration(view.seconds), format_duration(age))
