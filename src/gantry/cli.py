"""The command line: parse, call, print. A command is imported only when it runs, so that ``--help`` is fast."""

from __future__ import annotations

import argparse
import os
import sys
from io import TextIOWrapper

from gantry.client.arguments import parser
from gantry.client.parsers import JSON
from gantry.languages import ENGLISH, _, choose_by_environment, use_language

_LETTERS = "àâãáçéêíóõôúû"
"""Of the languages that are not English."""
REFUSED, UNREACHABLE, SERVER_FAILED = 2, 3, 5
"""Exit codes of errors; ``client/transfer.py`` has those of operations, ``gantry --help`` explains all."""


def main() -> None:
    """Run the command of ``sys.argv`` and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command; its exit code. An error is printed as one line on stderr. With ``--json`` programs read what is
    printed, and all of it is English."""
    _escape_unencodable()
    with use_language(ENGLISH if JSON in arguments else _choose_language()):
        return _run(parser().parse_args(arguments))


def _escape_unencodable() -> None:
    """Make stdout and stderr escape characters that they cannot encode, instead of failing: help has some, too."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _choose_language() -> str:
    """That of the environment, if the terminal can show its letters."""
    for stream in (sys.stdout, sys.stderr):
        try:
            _LETTERS.encode(getattr(stream, "encoding", None) or "ascii")
        except (UnicodeEncodeError, LookupError):
            return ENGLISH
    return choose_by_environment(os.environ)


def _run(args: argparse.Namespace) -> int:
    from gantry.client.terminal import discard_stdout, note, print_error, print_failure
    from gantry.errors import StatusError, Unavailable
    from gantry.system_errors import describe_os_error

    try:
        code = _command(args)
        sys.stdout.flush()
        return code
    except Unavailable as error:
        print_failure(error, as_json=getattr(args, "json", False))
        if hasattr(args, "server"):  # others reach a bucket, or a registry of packages
            advice = _("start a server with `gantry serve`, or name another one with --server or GANTRY_SERVER")
            note(f"        {advice}")
        return UNREACHABLE
    except StatusError as error:
        print_failure(error, as_json=getattr(args, "json", False))
        is_of_server = hasattr(args, "server") and (error.http >= 499 or error.http == 429)
        return SERVER_FAILED if is_of_server else REFUSED
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        discard_stdout()
        return 141
    except OSError as error:
        if error.filename is not None:
            raise
        discard_stdout()  # else what is left in its buffer would fail once more
        print_error(_("the output cannot be written: {reason}").format(reason=_(describe_os_error(error))))
        return REFUSED


def _command(args: argparse.Namespace) -> int:
    from importlib import import_module

    module, _colon, function = args.run.partition(":")
    code: int = getattr(import_module(f"gantry.{module}"), function)(args)
    return code


def serve(args: argparse.Namespace) -> int:
    """Load the settings and run the server until a signal stops it."""
    return _serve(args, takes_requests=True)


def run_operations(args: argparse.Namespace) -> int:
    """As ``serve``, for a server that takes no requests."""
    return _serve(args, takes_requests=False)


def _serve(args: argparse.Namespace, takes_requests: bool) -> int:
    from gantry.server import serve as serve_until_signal
    from gantry.settings.loading import find_sources, load_settings

    flags = {name: value for name, value in vars(args).items() if name not in ("run", "config")}
    file = args.config or os.environ.get("GANTRY_CONFIG", "")
    settings = load_settings(flags, os.environ, file)
    serve_until_signal(settings, takes_requests, sources=find_sources(flags, os.environ, file))
    return 0
