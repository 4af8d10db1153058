"""The whole command line, for ``argparse``. Imported for every command, so it imports nothing that is slow to load."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from gantry.client import help_texts as texts

_CLASSES = ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE")


class _Parser(argparse.ArgumentParser):
    """``complete`` adds the arguments that are slow to import, once this command is chosen."""

    complete: Callable[[_Parser], None] | None = None

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """As argparse, with the command that is most like what was written."""
        if action.choices is not None and value not in action.choices:
            from difflib import get_close_matches

            near = get_close_matches(str(value), [str(each) for each in action.choices], 1)
            hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(map(str, action.choices))}"
            raise argparse.ArgumentError(action, f"{str(value)!r} is not there; {hint}")

    def parse_known_args(self, *args: object, **kw: object) -> object:  # type: ignore[override]
        if self.complete is not None:
            complete, self.complete = self.complete, None
            complete(self)
        return super().parse_known_args(*args, **kw)


_Commands = argparse._SubParsersAction


class _Format(argparse.RawDescriptionHelpFormatter):
    """Widens the first column by the indent of command names, which argparse does not count."""

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length += 2


def parser() -> _Parser:
    """The whole command line."""
    root = _Parser(
        prog="gantry",
        description="An open DICOM store that speaks the DICOM part of the Cloud Healthcare API.",
        epilog=texts.EPILOG,
        formatter_class=_Format,
        allow_abbrev=False,
    )
    root.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = root.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_run(commands)
    _add_emulator(commands)
    _add_wait_ready(commands)
    _add_worker(commands)
    _add_import(commands)
    _add_export(commands)
    _add_operations(commands)
    _add_stores(commands)
    _add_datasets(commands)
    _add_changes(commands)
    _add_sql(commands)
    _add_storage(commands)
    _add_buckets(commands)
    _add_check(commands)
    _add_index(commands)
    _add_viewer(commands)
    _add_service_accounts(commands)
    demo = _add(commands, "demo", "demo:demo", "show an import and an export of real files", texts.DEMO, remote=False)
    demo.add_argument("--data", metavar="DIR", default="demo-data", help="emptied each time (default: ./demo-data)")
    demo.add_argument("--port", metavar="N", type=int, help="port of the server (default: 8080, or a free one)")
    help = "s3: buckets of moto, an emulator of S3 that runs meanwhile (default: directories)"
    demo.add_argument("--buckets", choices=("directories", "s3"), default="directories", help=help)
    return root


class _Version(argparse.Action):
    def __call__(self, *_: object) -> None:
        from gantry import __version__

        print(f"gantry {__version__}")
        sys.exit(0)


def _add(
    commands: _Commands[_Parser],
    name: str,
    run: str,
    help: str,
    epilog: str = "",
    *,
    remote: bool = True,
    json: bool = False,
) -> _Parser:
    """A command that the function ``gantry.{run}`` runs. ``remote``: it calls a server. ``json``: it has ``--json``."""
    command = commands.add_parser(
        name,
        help=help,
        description=f"{help[0].upper()}{help[1:]}.",
        epilog=epilog,
        formatter_class=_Format,
        allow_abbrev=False,
    )
    command.set_defaults(run=run)
    if json:
        command.add_argument("--json", action="store_true", help="print only JSON on stdout")
    if remote:
        _add_connection(command)
    return command


def _add_server(command: argparse._ActionsContainer) -> None:
    command.add_argument(
        "--server",
        metavar="URL",
        default=os.environ.get("GANTRY_SERVER") or "http://127.0.0.1:8080",
        help="address of the server (GANTRY_SERVER; default: http://127.0.0.1:8080)",
    )


def _add_connection(command: _Parser) -> None:
    env = os.environ.get
    group = command.add_argument_group("connection")
    _add_server(group)
    group.add_argument(
        "--token",
        default=env("GANTRY_TOKEN", ""),
        help="sent as Bearer token (GANTRY_TOKEN is safer: not in `ps`)",
    )
    group.add_argument("--project", default=env("GANTRY_PROJECT") or "gantry", help="GANTRY_PROJECT; default: gantry")
    group.add_argument(
        "--location", default=env("GANTRY_LOCATION") or "us-central1", help="GANTRY_LOCATION; default: us-central1"
    )


def _add_group(commands: _Commands[_Parser], name: str, help: str, epilog: str) -> _Commands[_Parser]:
    group = commands.add_parser(
        name,
        help=help,
        description=f"{help[0].upper()}{help[1:]}.",
        epilog=epilog,
        formatter_class=_Format,
        allow_abbrev=False,
    )
    return group.add_subparsers(title="commands", metavar="COMMAND", required=True)


def _add_serve(commands: _Commands[_Parser]) -> None:
    command = _add(commands, "serve", "cli:serve", "run the server until Ctrl-C or SIGTERM", texts.SERVE, remote=False)
    command.complete = _add_settings
    command.add_argument("--config", metavar="FILE", help="TOML file of settings (GANTRY_CONFIG)")


def _add_run(commands: _Commands[_Parser]) -> None:
    what = "run the operations of other servers"
    command = _add(commands, "run", "cli:run_operations", what, texts.RUN, remote=False)
    command.complete = _add_settings
    command.add_argument("--config", metavar="FILE", help="TOML file of settings (GANTRY_CONFIG)")


def _add_emulator(commands: _Commands[_Parser]) -> None:
    what = "run a server for tests: no authentication, no patient data"
    command = _add(commands, "emulator", "emulator.command:emulate", what, texts.EMULATOR, remote=False)
    command.complete = _add_settings
    command.add_argument("--config", metavar="FILE", help="TOML file of settings (GANTRY_CONFIG)")
    help = "directory of DICOM files to begin with, in directories DATASET/STORE or of one store; may be repeated"
    command.add_argument("--seed", metavar="[DATASET/STORE=]DIR", action="append", help=help)
    command.add_argument("--store", metavar="DATASET/STORE", action="append", help="a store to begin with, empty")
    command.add_argument("--bucket", metavar="NAME", action="append", help="a bucket to begin with, empty")
    env = os.environ.get
    command.add_argument("--project", default=env("GANTRY_PROJECT") or "gantry", help="of these; default: gantry")
    command.add_argument("--location", default=env("GANTRY_LOCATION") or "us-central1", help="default: us-central1")
    group = command.add_subparsers(title="commands", metavar="COMMAND")
    help, run = "write a credentials file for Google's clients", "emulator.credentials:write_credentials"
    credentials = _add(group, "credentials", run, help, texts.CREDENTIALS, remote=False)
    credentials.add_argument("file", metavar="FILE", help="is replaced where it is there")
    _add_server(credentials)
    help = "domain of an emulator with TLS, which clients reach as healthcare.DOMAIN"
    credentials.add_argument("--universe-domain", metavar="DOMAIN", default="", help=help)


def _add_wait_ready(commands: _Commands[_Parser]) -> None:
    what = "wait until a server answers"
    command = _add(commands, "wait-ready", "client.waiting:wait_ready", what, texts.WAIT_READY, remote=False)
    _add_server(command)
    command.add_argument("--timeout", metavar="S", type=float, default=60, help="seconds at most (default: 60)")


def _add_worker(commands: _Commands[_Parser]) -> None:
    what = "run batches of operations for servers that share a distributed engine"
    command = _add(commands, "worker", "client.worker:work", what, texts.WORKER, remote=False)
    command.add_argument("--config", metavar="FILE", help="TOML file of settings (GANTRY_CONFIG)")
    command.add_argument("--processes", metavar="N", type=int, help="processes of this worker (default: one per core)")


def _add_settings(command: _Parser) -> None:
    from gantry.settings.page import add_flags

    add_flags(command)


def _add_transfer(command: _Parser) -> None:
    command.add_argument(
        "--store",
        metavar="STORE",
        default=os.environ.get("GANTRY_STORE", ""),
        help="DATASET/STORE or the full resource name (GANTRY_STORE)",
    )
    command.add_argument(
        "--async", dest="detach", action="store_true", help="start the operation without waiting for it"
    )


def _add_import(commands: _Commands[_Parser]) -> None:
    command = _add(commands, "import", "client.transfer:import_", "import objects of a bucket", texts.IMPORT, json=True)
    command.add_argument("uri", metavar="URI", help="gs://BUCKET/OBJECT, wildcards allowed")
    _add_transfer(command)
    command.add_argument(
        "--storage-class", metavar="C", type=str.upper, choices=_CLASSES, help=", ".join(_CLASSES).lower()
    )


def _add_export(commands: _Commands[_Parser]) -> None:
    command = _add(
        commands, "export", "client.transfer:export", "export instances to a bucket", texts.EXPORT, json=True
    )
    command.add_argument("uri", metavar="gs://BUCKET/DIR", help="destination of the instances")
    _add_transfer(command)
    command.add_argument("--filter", metavar="gs://B/F", help="a file of paths, /studies/…[/series/…[/instances/…]]")
    command.add_argument("--mime-type", metavar="TYPE", help="format to export in (default: as stored)")


def _add_operations(commands: _Commands[_Parser]) -> None:
    group = _add_group(commands, "operations", "follow imports and exports, and see what failed", texts.OPERATIONS)
    listing = _add(group, "list", "client.operations:list_", "list operations, newest first", json=True)
    listing.add_argument("--limit", metavar="N", type=int, default=50, help="at most N; 0: all (default: 50)")
    _add_dataset(listing)
    for name, help in (
        ("describe", "show one operation"),
        ("errors", "print each object that failed, with the reason"),
        ("wait", "follow an operation to its end"),
        ("cancel", "stop an operation; what it has done so far is kept"),
    ):
        command = _add(group, name, f"client.operations:{name}", help, json=True)
        command.add_argument("operation", metavar="OPERATION", help="number or full resource name")
        _add_dataset(command)


def _add_dataset(command: _Parser) -> None:
    command.add_argument("--dataset", help="default: the dataset of GANTRY_STORE, or the only dataset")


def _add_stores(commands: _Commands[_Parser]) -> None:
    group = _add_group(commands, "stores", "list, create, describe and delete DICOM stores", texts.STORES)
    listing = _add(group, "list", "client.resources:list_stores", "list DICOM stores", json=True)
    listing.add_argument("--dataset", help="default: all datasets")
    for name, help in (
        ("create", "create a DICOM store, and its dataset if it does not exist"),
        ("describe", "show a DICOM store"),
        ("delete", "delete a DICOM store and every instance in it"),
    ):
        command = _add(group, name, f"client.resources:{name}_store", help, json=True)
        command.add_argument("store", metavar="STORE", help="DATASET/STORE or the full resource name")
        if name == "delete":
            command.add_argument("--yes", action="store_true", help="do not ask for confirmation")


def _add_changes(commands: _Commands[_Parser]) -> None:
    what = "print what happened to the instances of a DICOM store"
    command = _add(commands, "changes", "client.changes:show", what, texts.CHANGES, json=True)
    store = os.environ.get("GANTRY_STORE", "")
    help = "DATASET/STORE or the full resource name (GANTRY_STORE)"
    command.add_argument("store", metavar="STORE", nargs="?", default=store, help=help)
    command.add_argument("--since", metavar="TOKEN", help="go on behind a token (default: the oldest that are kept)")
    command.add_argument("--now", action="store_true", help="begin with what happens from now on")
    command.add_argument("--follow", action="store_true", help="wait for more, until Ctrl-C")


def _add_sql(commands: _Commands[_Parser]) -> None:
    what = "ask the tables of metadata a query"
    command = _add(commands, "sql", "client.sql:run", what, texts.SQL, json=True)
    command.add_argument("query", metavar="QUERY", help="a SELECT in GoogleSQL; - reads it from stdin")
    help = "how rows are printed, and written with --to (default: table)"
    command.add_argument("--format", choices=("table", "csv", "json", "parquet"), default="table", help=help)
    help = "write the rows to an object: of one column a filter file, without a header"
    command.add_argument("--to", metavar="gs://BUCKET/OBJECT", help=help)
    command.add_argument("--legacy-sql", action="store_true", help="the query is in BigQuery's legacy SQL")


def _add_viewer(commands: _Commands[_Parser]) -> None:
    group = _add_group(commands, "viewer", "look at images in the browser, with OHIF", texts.VIEWER)
    command = _add(group, "install", "client.viewer:install", "fetch OHIF, for the server to serve", remote=False)
    command.add_argument("--data", metavar="DIR", help="the server's directory (GANTRY_DATA; default: ./gantry-data)")
    command.add_argument("--version", metavar="V", default="3.13.2", help="of @ohif/app (default: 3.13.2)")
    command.add_argument("--from", dest="source", metavar="FILE", help="a package that is already downloaded")


def _add_storage(commands: _Commands[_Parser]) -> None:
    run, help = "client.storage", "show how the bytes of instances lie on the server's disks"
    storage = _add(commands, "storage", f"{run}:show", help, texts.STORAGE, remote=False, json=True)
    group = storage.add_subparsers(title="commands", metavar="COMMAND")
    show = _add(group, "show", f"{run}:show", "segments, bytes in use and freed, by store", remote=False)
    compact = _add(group, "compact", f"{run}:compact", "move small files of older versions into segments", remote=False)
    clear = _add(group, "clear", f"{run}:clear", "delete files that `gantry check` says nobody names", remote=False)
    clear.add_argument("--dry-run", action="store_true", help="name them, and delete nothing")
    help = "make a lost index again from the stored instances"
    rebuild = _add(group, "rebuild", "client.rebuild:rebuild", help, texts.REBUILD, remote=False)
    rebuild.add_argument(
        "--store", metavar="NUMBER=NAME", action="append", help="the name of a store whose name is not known any more"
    )
    for command in (show, rebuild):
        command.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print only JSON on stdout")
    every = (show, compact, clear, rebuild)
    for command, default in ((storage, None), *((each, argparse.SUPPRESS) for each in every)):
        command.add_argument(
            "--data",
            metavar="DIR",
            default=default,  # what stands before the name of the command counts, too
            help="the server's directory (GANTRY_DATA; default: ./gantry-data)",
        )
        command.add_argument("--config", metavar="FILE", default=default, help="the server's settings (GANTRY_CONFIG)")


def _add_buckets(commands: _Commands[_Parser]) -> None:
    group = _add_group(commands, "buckets", "try what the server can do with a bucket", texts.BUCKETS)
    help = "try what can be listed, read and written"
    check = _add(group, "check", "client.buckets:check_bucket", help, remote=False, json=True)
    check.add_argument("bucket", metavar="BUCKET", help="its name (then gs://) or address; a directory may follow")
    check.add_argument("--write", action="store_true", help="write a small object there, read it and delete it")
    _add_place(check)
    check.add_argument("--buckets", metavar="DIR", help="the directory of the buckets (GANTRY_BUCKETS)")


def _add_place(command: _Parser) -> None:
    command.add_argument("--data", metavar="DIR", help="the server's directory (GANTRY_DATA; default: ./gantry-data)")
    command.add_argument("--config", metavar="FILE", help="the server's settings (GANTRY_CONFIG)")


def _add_check(commands: _Commands[_Parser]) -> None:
    help = "check that all that is stored agrees with itself"
    check = _add(commands, "check", "client.check:check_directory", help, texts.CHECK, remote=False)
    check.add_argument("--json", action="store_true", help="print JSON on stdout, one object per line")
    check.add_argument("--read", action="store_true", help="read all bytes, and compare their checksums")
    _add_place(check)


def _add_index(commands: _Commands[_Parser]) -> None:
    group = _add_group(commands, "index", "move the index of a server to another database", texts.INDEX)
    copy = _add(
        group, "copy", "client.index:copy", "move it to PostgreSQL, or back", texts.INDEX, remote=False, json=True
    )
    copy.add_argument("source", metavar="FROM", help="a data directory, or postgresql://USER@HOST/DATABASE")
    copy.add_argument("target", metavar="TO", help="the same; a database must be empty")
    help, run = "bring the tables of the index up to date", "client.index:migrate"
    migrate = _add(commands, "migrate", run, help, texts.MIGRATE, remote=False, json=True)
    migrate.add_argument("--check", action="store_true", help="say whether it is needed, and change nothing")
    _add_place(migrate)


def _add_service_accounts(commands: _Commands[_Parser]) -> None:
    group = _add_group(commands, "service-accounts", "keys for programs that call the server", texts.SERVICE_ACCOUNTS)
    run = "client.service_accounts"
    make = _add(group, "create", f"{run}:create", "create a key file for Google's clients", remote=False)
    listing = _add(group, "list", f"{run}:list_", "list service accounts and their keys", remote=False, json=True)
    remove = _add(group, "delete", f"{run}:delete", "delete a key; tokens given for it stop working", remote=False)
    for command in (make, listing, remove):
        _add_place(command)
    make.add_argument("name", metavar="NAME", help="the account is NAME@PROJECT.iam.gantry")
    make.add_argument("--out", metavar="FILE", help="default: NAME.json; it must not exist yet")
    make.add_argument("--project", default=os.environ.get("GANTRY_PROJECT") or "gantry", help="default: gantry")
    make.add_argument(
        "--server",
        metavar="URL",
        default=os.environ.get("GANTRY_SERVER") or "http://127.0.0.1:8080",
        help="where clients reach the server (GANTRY_SERVER; default: http://127.0.0.1:8080)",
    )
    remove.add_argument("key", metavar="KEY", help="id of the key, from `list`")


def _add_datasets(commands: _Commands[_Parser]) -> None:
    group = _add_group(commands, "datasets", "list, create and delete datasets", texts.DATASETS)
    _add(group, "list", "client.resources:list_datasets", "list datasets", json=True)
    for name, help in (
        ("create", "create a dataset"),
        ("delete", "delete a dataset and every store and instance in it"),
    ):
        command = _add(group, name, f"client.resources:{name}_dataset", help, json=True)
        command.add_argument("dataset", metavar="DATASET", help="id or full resource name")
        if name == "delete":
            command.add_argument("--yes", action="store_true", help="do not ask for confirmation")
