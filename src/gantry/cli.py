"""The command line: parse, call, print. A command is imported only when it runs, so that ``--help`` is fast."""

from __future__ import annotations

import argparse
import os
import sys

from gantry.client.arguments import parser

REFUSED, UNREACHABLE, SERVER_FAILED = 2, 3, 5
"""Exit codes of errors; ``client/transfer.py`` has those of operations, ``gantry --help`` explains all."""


def main() -> None:
    """Run the command of ``sys.argv`` and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command; its exit code. An error is printed as one line on stderr."""
    args = parser().parse_args(arguments)
    from gantry.client.terminal import discard_stdout, escape_unencodable, note, print_error, print_failure

    escape_unencodable()
    from gantry.errors import StatusError, Unavailable
    from gantry.system_errors import describe_os_error

    try:
        code = _command(args)
        sys.stdout.flush()
        return code
    except Unavailable as error:
        print_failure(error, as_json=getattr(args, "json", False))
        if hasattr(args, "server"):  # others reach a bucket, or a registry of packages
            note("        start a server with `gantry serve`, or name another one with --server or GANTRY_SERVER")
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
        print_error(f"the output cannot be written: {describe_os_error(error)}")
        return REFUSED


def _command(args: argparse.Namespace) -> int:
    from importlib import import_module

    module, _, function = args.run.partition(":")
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
