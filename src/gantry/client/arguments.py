"""The whole command line, for ``argparse``. Imported for every command, so it imports nothing that is slow to load."""

from __future__ import annotations

import argparse
import os
import sys

from gantry.client import api_arguments as api
from gantry.client import help_texts as texts
from gantry.client.parsers import Commands, Format, Parser, add_command, add_group, add_place, add_server
from gantry.languages import _


def parser() -> Parser:
    """The whole command line."""
    root = Parser(
        prog="gantry",
        description=_("An open DICOM store that speaks the DICOM part of the Cloud Healthcare API."),
        epilog=texts.EPILOG.write(),
        formatter_class=Format,
        allow_abbrev=False,
    )
    root.add_argument("--version", action=_Version, nargs=0, help=_("print the version and exit"))
    commands = root.add_subparsers(title=_("commands"), metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_run(commands)
    _add_emulator(commands)
    _add_wait_ready(commands)
    _add_worker(commands)
    api.add_import(commands)
    api.add_export(commands)
    api.add_operations(commands)
    api.add_stores(commands)
    api.add_datasets(commands)
    api.add_studies(commands)
    api.add_upload(commands)
    api.add_storage_class(commands)
    api.add_metrics(commands)
    api.add_iam(commands)
    _add_changes(commands)
    _add_sql(commands)
    _add_storage(commands)
    _add_buckets(commands)
    _add_check(commands)
    _add_index(commands)
    _add_viewer(commands)
    _add_service_accounts(commands)
    _add_completion(commands)
    demo = add_command(
        commands, "demo", "demo:demo", _("show an import and an export of real files"), texts.DEMO, remote=False
    )
    demo.add_argument("--data", metavar="DIR", default="demo-data", help=_("emptied each time (default: ./demo-data)"))
    demo.add_argument("--port", metavar="N", type=int, help=_("port of the server (default: 8080, or a free one)"))
    help = _("s3: buckets of moto, an emulator of S3 that runs meanwhile (default: directories)")
    demo.add_argument("--buckets", choices=("directories", "s3"), default="directories", help=help)
    return root


class _Version(argparse.Action):
    def __call__(self, *_: object) -> None:
        from gantry import __version__

        print(f"gantry {__version__}")
        sys.exit(0)


def _add_serve(commands: Commands[Parser]) -> None:
    command = add_command(
        commands, "serve", "cli:serve", _("run the server until Ctrl-C or SIGTERM"), texts.SERVE, remote=False
    )
    command.complete = _add_settings
    command.add_argument("--config", metavar="FILE", help=_("TOML file of settings (GANTRY_CONFIG)"))


def _add_run(commands: Commands[Parser]) -> None:
    what = _("run the operations of other servers")
    command = add_command(commands, "run", "cli:run_operations", what, texts.RUN, remote=False)
    command.complete = _add_settings
    command.add_argument("--config", metavar="FILE", help=_("TOML file of settings (GANTRY_CONFIG)"))


def _add_emulator(commands: Commands[Parser]) -> None:
    what = _("run a server for tests: no authentication, no patient data")
    command = add_command(commands, "emulator", "emulator.command:emulate", what, texts.EMULATOR, remote=False)
    command.complete = _add_settings
    command.add_argument("--config", metavar="FILE", help=_("TOML file of settings (GANTRY_CONFIG)"))
    help = _("directory of DICOM files to begin with, in directories DATASET/STORE or of one store; may be repeated")
    command.add_argument("--seed", metavar="[DATASET/STORE=]DIR", action="append", help=help)
    command.add_argument("--store", metavar="DATASET/STORE", action="append", help=_("a store to begin with, empty"))
    command.add_argument("--bucket", metavar="NAME", action="append", help=_("a bucket to begin with, empty"))
    env = os.environ.get
    command.add_argument("--project", default=env("GANTRY_PROJECT") or "gantry", help=_("of these; default: gantry"))
    command.add_argument("--location", default=env("GANTRY_LOCATION") or "us-central1", help=_("default: us-central1"))
    group = command.add_subparsers(title=_("commands"), metavar="COMMAND")
    help, run = _("write a credentials file for Google's clients"), "emulator.credentials:write_credentials"
    credentials = add_command(group, "credentials", run, help, texts.CREDENTIALS, remote=False)
    credentials.add_argument("file", metavar="FILE", help=_("is replaced where it is there"))
    add_server(credentials)
    help = _("domain of an emulator with TLS, which clients reach as healthcare.DOMAIN")
    credentials.add_argument("--universe-domain", metavar="DOMAIN", default="", help=help)


def _add_wait_ready(commands: Commands[Parser]) -> None:
    what = _("wait until a server answers")
    command = add_command(commands, "wait-ready", "client.waiting:wait_ready", what, texts.WAIT_READY, remote=False)
    add_server(command)
    command.add_argument("--timeout", metavar="S", type=float, default=60, help=_("seconds at most (default: 60)"))


def _add_worker(commands: Commands[Parser]) -> None:
    what = _("run batches of operations for servers that share a distributed engine")
    command = add_command(commands, "worker", "client.worker:work", what, texts.WORKER, remote=False)
    command.add_argument("--config", metavar="FILE", help=_("TOML file of settings (GANTRY_CONFIG)"))
    command.add_argument(
        "--processes", metavar="N", type=int, help=_("processes of this worker (default: one per core)")
    )


def _add_settings(command: Parser) -> None:
    from gantry.settings.page import add_flags

    add_flags(command)


def _add_changes(commands: Commands[Parser]) -> None:
    what = _("print what happened to the instances of a DICOM store")
    command = add_command(commands, "changes", "client.changes:show", what, texts.CHANGES, json=True)
    store = os.environ.get("GANTRY_STORE", "")
    help = _("DATASET/STORE or the full resource name (GANTRY_STORE)")
    command.add_argument("store", metavar="STORE", nargs="?", default=store, help=help)
    command.add_argument("--since", metavar="TOKEN", help=_("go on behind a token (default: the oldest that are kept)"))
    command.add_argument("--now", action="store_true", help=_("begin with what happens from now on"))
    command.add_argument("--follow", action="store_true", help=_("wait for more, until Ctrl-C"))


def _add_sql(commands: Commands[Parser]) -> None:
    what = _("ask the tables of metadata a query")
    command = add_command(commands, "sql", "client.sql:run", what, texts.SQL, json=True)
    command.add_argument("query", metavar="QUERY", help=_("a SELECT in GoogleSQL; - reads it from stdin"))
    help = _("how rows are printed, and written with --to (default: table)")
    command.add_argument("--format", choices=("table", "csv", "json", "parquet"), default="table", help=help)
    help = _("write the rows to an object: of one column a filter file, without a header")
    command.add_argument("--to", metavar="gs://BUCKET/OBJECT", help=help)
    command.add_argument("--legacy-sql", action="store_true", help=_("the query is in BigQuery's legacy SQL"))


def _add_viewer(commands: Commands[Parser]) -> None:
    group = add_group(commands, "viewer", _("look at images in the browser, with OHIF"), texts.VIEWER)
    command = add_command(
        group, "install", "client.viewer:install", _("fetch OHIF, for the server to serve"), remote=False
    )
    command.add_argument(
        "--data", metavar="DIR", help=_("the server's directory (GANTRY_DATA; default: ./gantry-data)")
    )
    command.add_argument("--version", metavar="V", default="3.13.2", help=_("of @ohif/app (default: 3.13.2)"))
    command.add_argument("--from", dest="source", metavar="FILE", help=_("a package that is already downloaded"))


def _add_storage(commands: Commands[Parser]) -> None:
    run, help = "client.storage", _("show how the bytes of instances lie on the server's disks")
    storage = add_command(commands, "storage", f"{run}:show", help, texts.STORAGE, remote=False, json=True)
    group = storage.add_subparsers(title=_("commands"), metavar="COMMAND")
    show = add_command(group, "show", f"{run}:show", _("segments, bytes in use and freed, by store"), remote=False)
    compact = add_command(
        group, "compact", f"{run}:compact", _("move small files of older versions into segments"), remote=False
    )
    clear = add_command(
        group, "clear", f"{run}:clear", _("delete files that `gantry check` says nobody names"), remote=False
    )
    clear.add_argument("--dry-run", action="store_true", help=_("name them, and delete nothing"))
    help = _("make a lost index again from the stored instances")
    rebuild = add_command(group, "rebuild", "client.rebuild:rebuild", help, texts.REBUILD, remote=False)
    rebuild.add_argument(
        "--store",
        metavar="NUMBER=NAME",
        action="append",
        help=_("the name of a store whose name is not known any more"),
    )
    for command in (show, rebuild):
        command.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help=_("print only JSON on stdout")
        )
    every = (show, compact, clear, rebuild)
    for command, default in ((storage, None), *((each, argparse.SUPPRESS) for each in every)):
        command.add_argument(
            "--data",
            metavar="DIR",
            default=default,  # what stands before the name of the command counts, too
            help=_("the server's directory (GANTRY_DATA; default: ./gantry-data)"),
        )
        command.add_argument(
            "--config", metavar="FILE", default=default, help=_("the server's settings (GANTRY_CONFIG)")
        )


def _add_buckets(commands: Commands[Parser]) -> None:
    group = add_group(commands, "buckets", _("list buckets, and try what the server can do with one"), texts.BUCKETS)
    listing = add_command(
        group, "list", "client.buckets:list_", _("list those that the settings name"), remote=False, json=True
    )
    help = _("try what can be listed, read and written")
    check = add_command(group, "check", "client.buckets:check_bucket", help, remote=False, json=True)
    check.add_argument("bucket", metavar="BUCKET", help=_("its name (then gs://) or address; a directory may follow"))
    check.add_argument("--write", action="store_true", help=_("write a small object there, read it and delete it"))
    for command in (listing, check):
        add_place(command)
        command.add_argument("--buckets", metavar="DIR", help=_("the directory of the buckets (GANTRY_BUCKETS)"))


def _add_check(commands: Commands[Parser]) -> None:
    help = _("check that all that is stored agrees with itself")
    check = add_command(commands, "check", "client.check:check_directory", help, texts.CHECK, remote=False)
    check.add_argument("--json", action="store_true", help=_("print JSON on stdout, one object per line"))
    check.add_argument("--read", action="store_true", help=_("read all bytes, and compare their checksums"))
    add_place(check)


def _add_index(commands: Commands[Parser]) -> None:
    group = add_group(commands, "index", _("move the index of a server to another database"), texts.INDEX)
    copy = add_command(
        group, "copy", "client.index:copy", _("move it to PostgreSQL, or back"), texts.INDEX, remote=False, json=True
    )
    copy.add_argument("source", metavar="FROM", help=_("a data directory, or postgresql://USER@HOST/DATABASE"))
    copy.add_argument("target", metavar="TO", help=_("the same; a database must be empty"))
    help, run = _("bring the tables of the index up to date"), "client.index:migrate"
    migrate = add_command(commands, "migrate", run, help, texts.MIGRATE, remote=False, json=True)
    migrate.add_argument("--check", action="store_true", help=_("say whether it is needed, and change nothing"))
    add_place(migrate)


def _add_service_accounts(commands: Commands[Parser]) -> None:
    group = add_group(commands, "service-accounts", _("keys for programs that call the server"), texts.SERVICE_ACCOUNTS)
    run = "client.service_accounts"
    make = add_command(group, "create", f"{run}:create", _("create a key file for Google's clients"), remote=False)
    listing = add_command(
        group, "list", f"{run}:list_", _("list service accounts and their keys"), remote=False, json=True
    )
    remove = add_command(
        group, "delete", f"{run}:delete", _("delete a key; tokens given for it stop working"), remote=False
    )
    for command in (make, listing, remove):
        add_place(command)
    make.add_argument("name", metavar="NAME", help=_("the account is NAME@PROJECT.iam.gantry"))
    make.add_argument("--out", metavar="FILE", help=_("default: NAME.json; it must not exist yet"))
    make.add_argument("--project", default=os.environ.get("GANTRY_PROJECT") or "gantry", help=_("default: gantry"))
    make.add_argument(
        "--server",
        metavar="URL",
        default=os.environ.get("GANTRY_SERVER") or "http://127.0.0.1:8080",
        help=_("where clients reach the server (GANTRY_SERVER; default: http://127.0.0.1:8080)"),
    )
    remove.add_argument("key", metavar="KEY", help=_("id of the key, from `list`"))


def _add_completion(commands: Commands[Parser]) -> None:
    what = _("print a script with which a shell completes commands and flags")
    command = add_command(commands, "completion", "client.completion:show", what, texts.COMPLETION, remote=False)
    command.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help=_("bash, zsh or fish"))
    add_command(commands, "man", "client.man_page:show", _("print the manual page"), texts.MAN, remote=False)
