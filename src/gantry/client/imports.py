"""``import``: one operation for each URI, all of them started, then followed one after the other."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from gantry.client.api import Json
from gantry.client.connection import Connection
from gantry.client.messages import describe_error, translate_message
from gantry.client.terminal import error_json, note, print_error, say, say_json
from gantry.client.transfer import (
    INTERRUPTED,
    OPERATION_FAILED,
    await_end,
    code_of,
    finish,
    format_failed,
    format_not_done,
    format_succeeded,
    summarize,
    tell_started,
)
from gantry.client.view import OperationView
from gantry.errors import InvalidArgument, StatusError
from gantry.languages import _, ngettext
from gantry.sizes import format_number
from gantry.storage.uris import UriPattern
from gantry.system_errors import describe_os_error


def import_(args: Namespace) -> int:
    """Start the imports and follow them."""
    uris = [*args.uri, *(_read_file(args.from_file) if args.from_file else ())]
    if not uris:
        raise InvalidArgument(_("what shall be imported? Give gs://BUCKET/OBJECT, or --from-file FILE"))
    for uri in uris:  # a slip in the last line shall not be found when the others run
        _check(uri)
    connection = Connection.of(args)
    method = f"{connection.store(args.store)}:import"
    settings = {"blobStorageSettings": {"blobStorageClass": args.storage_class}} if args.storage_class else {}
    bodies = [{"gcsSource": {"uri": uri}} | settings for uri in uris]
    if len(uris) > 1:
        return _Imports(connection, method, bodies).run(args.detach, args.json)
    started = connection.api.post(method, bodies[0])
    if args.detach:
        return tell_started(connection, started, args.json)
    return finish(connection, started["name"], args.json)


def _read_file(name: str) -> Iterator[str]:
    """The lines that are not empty. Raises InvalidArgument."""
    try:
        with sys.stdin if name == "-" else open(name, encoding="utf-8") as file:
            yield from filter(None, map(str.strip, file))
    except OSError as error:
        raise InvalidArgument(f"--from-file: {name}: {_(describe_os_error(error))}") from None
    except UnicodeDecodeError:
        raise InvalidArgument(_("--from-file: {name}: is not text in UTF-8").format(name=name)) from None


def _check(uri: str) -> None:
    """Raises InvalidArgument, which says what else may have been meant."""
    try:
        UriPattern.parse(uri)
    except InvalidArgument as error:
        if "://" not in uri and os.path.exists(uri):
            problem = _("{error}, or store files of this machine with `gantry upload`")
            raise InvalidArgument(problem.format(error=translate_message(error.message))) from None
        raise


class _Refused(NamedTuple):
    uri: str
    error: StatusError


@dataclass
class _Imports:
    """Several imports of one command. ``bodies`` are the requests."""

    connection: Connection
    method: str
    bodies: list[Json]

    def run(self, detach: bool, as_json: bool) -> int:
        """The exit code is the gravest one of all; that of an operation that failed where one was refused."""
        started, refused = self._start_all()
        if detach:
            self._tell(started, refused, as_json)
            return OPERATION_FAILED if refused else 0
        ended: list[OperationView] = []
        for place, each in enumerate(started):
            view = None
            try:
                view = await_end(self.connection, each["name"])
            finally:
                if view is None:  # Ctrl-C, or a server that is away
                    self._note_others(started[place + 1 :])
            if view is None:
                return INTERRUPTED
            ended.append(view)
            if not as_json:
                summarize(self.connection, view)
        if as_json:
            say_json([view.json for view in ended] + [_refusal(each) for each in refused])
        else:
            _say_sums(ended, refused)
        return max([code_of(view) for view in ended] + [OPERATION_FAILED] * bool(refused))

    def _start_all(self) -> tuple[list[Json], list[_Refused]]:
        """Raises the error of the first one: then nothing was started."""
        started = [self.connection.api.post(self.method, self.bodies[0])]
        refused: list[_Refused] = []
        for body in self.bodies[1:]:
            try:
                started.append(self.connection.api.post(self.method, body))
            except StatusError as error:
                refused.append(_Refused(body["gcsSource"]["uri"], error))
                message = _("{uri}: not started: {error}")
                print_error(message.format(uri=refused[-1].uri, error=describe_error(error)))
        return started, refused

    def _tell(self, started: list[Json], refused: list[_Refused], as_json: bool) -> None:
        if as_json:
            say_json([*started, *map(_refusal, refused)])
            return
        for each in started:
            tell_started(self.connection, each, as_json)

    def _note_others(self, others: list[Json]) -> None:
        for each in others:
            command = self.connection.command("wait", each["name"])
            text = _("this continues, too: {command}")
            note(f"  {text.format(command=command)}", "default")


def _refusal(refused: _Refused) -> Json:
    return {"uri": refused.uri} | error_json(refused.error)


def _say_sums(ended: list[OperationView], refused: list[_Refused]) -> None:
    success, failure = sum(view.success for view in ended), sum(view.failure for view in ended)
    left = sum(view.total - view.finished for view in ended)
    unfinished = sum(bool(view.error and (view.is_cancelled or not view.failure)) for view in ended)
    parts = [format_succeeded(success), format_failed(failure)]
    parts += [format_not_done(left)] * bool(left)
    parts += [_format_unfinished(unfinished)] * bool(unfinished)
    parts += [_format_refused(len(refused))] * bool(refused)
    sums = ngettext("{count} import: {counts}", "{count} imports: {counts}", len(ended))
    say(sums.format(count=format_number(len(ended)), counts=", ".join(parts)))


def _format_unfinished(count: int) -> str:
    text = ngettext("{count} operation failed or cancelled", "{count} operations failed or cancelled", count)
    return text.format(count=format_number(count))


def _format_refused(count: int) -> str:
    return ngettext("{count} not started", "{count} not started", count).format(count=format_number(count))
