"""Commands for what the API does, for ``arguments.py``."""

from __future__ import annotations

from gantry.client import help_texts as texts
from gantry.client.parsers import Commands, Parser, add_command, add_dataset, add_group, add_store
from gantry.languages import _

_CLASSES = ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE")


def _add_transfer(command: Parser) -> None:
    add_store(command)
    help = _("start the operation without waiting for it")
    command.add_argument("--async", dest="detach", action="store_true", help=help)


def add_import(commands: Commands[Parser]) -> None:
    command = add_command(
        commands, "import", "client.imports:import_", _("import objects of a bucket"), texts.IMPORT, json=True
    )
    command.add_argument(
        "uri", metavar="URI", nargs="*", help=_("gs://BUCKET/OBJECT, wildcards allowed; each is an operation")
    )
    command.add_argument("--from-file", metavar="FILE", help=_("a file with one URI per line; - reads stdin"))
    _add_transfer(command)
    command.add_argument(
        "--storage-class", metavar="C", type=str.upper, choices=_CLASSES, help=", ".join(_CLASSES).lower()
    )


def add_export(commands: Commands[Parser]) -> None:
    command = add_command(
        commands, "export", "client.transfer:export", _("export instances to a bucket"), texts.EXPORT, json=True
    )
    command.add_argument("uri", metavar="gs://BUCKET/DIR", help=_("destination of the instances"))
    _add_transfer(command)
    command.add_argument("--filter", metavar="gs://B/F", help=_("a file of paths, /studies/…[/series/…[/instances/…]]"))
    command.add_argument("--mime-type", metavar="TYPE", help=_("format to export in (default: as stored)"))


def add_operations(commands: Commands[Parser]) -> None:
    group = add_group(commands, "operations", _("follow imports and exports, and see what failed"), texts.OPERATIONS)
    listing = add_command(group, "list", "client.operations:list_", _("list operations, newest first"), json=True)
    listing.add_argument("--limit", metavar="N", type=int, default=50, help=_("at most N; 0: all (default: 50)"))
    add_dataset(listing)
    for name, help in (
        ("describe", _("show one operation")),
        ("errors", _("print each object that failed, with the reason")),
        ("wait", _("follow an operation to its end")),
        ("cancel", _("stop an operation; what it has done so far is kept")),
    ):
        command = add_command(group, name, f"client.operations:{name}", help, json=True)
        command.add_argument("operation", metavar="OPERATION", help=_("number or full resource name"))
        if name == "wait":
            help = _("seconds at most; the operation continues, and the exit code is 124")
            command.add_argument("--timeout", metavar="S", type=float, help=help)
        add_dataset(command)


def add_stores(commands: Commands[Parser]) -> None:
    group = add_group(commands, "stores", _("list, create, describe, update and delete DICOM stores"), texts.STORES)
    listing = add_command(group, "list", "client.resources:list_stores", _("list DICOM stores"), json=True)
    listing.add_argument("--dataset", help=_("default: all datasets"))
    for name, help in (
        ("create", _("create a DICOM store, and its dataset if it does not exist")),
        ("describe", _("show a DICOM store")),
        ("delete", _("delete a DICOM store and every instance in it")),
    ):
        command = add_command(group, name, f"client.resources:{name}_store", help, json=True)
        command.add_argument("store", metavar="STORE", help=_("DATASET/STORE or the full resource name"))
        if name == "delete":
            command.add_argument("--yes", action="store_true", help=_("do not ask for confirmation"))
    _add_store_update(group)


def _add_store_update(group: Commands[Parser]) -> None:
    help = _("change labels, notifications and streams of a DICOM store")
    command = add_command(group, "update", "client.store_update:update", help, texts.STORE_UPDATE, json=True)
    command.add_argument("store", metavar="STORE", help=_("DATASET/STORE or the full resource name"))
    command.add_argument(
        "--label", metavar="KEY=VALUE", action="append", default=[], help=_("set a label; may be repeated")
    )
    help = _("remove a label; may be repeated")
    command.add_argument("--remove-label", metavar="KEY", action="append", default=[], help=help)
    for flag, metavar, what, nothing in (
        ("notify", "projects/P/topics/T", _("a topic that changes are sent to"), _("send them to no topic")),
        ("stream", "bq://P.DATASET.TABLE", _("a table that follows the store"), _("no table follows it")),
    ):
        choice = command.add_mutually_exclusive_group()
        help = _("{what}, instead of those before; may be repeated").format(what=what)
        choice.add_argument(f"--{flag}", metavar=metavar, action="append", help=help)
        choice.add_argument(f"--no-{flag}", action="store_true", help=nothing)
    help = _("a DicomStore as JSON, whose fields replace those of the store; - reads stdin")
    command.add_argument("--from-file", metavar="FILE", help=help)


def add_datasets(commands: Commands[Parser]) -> None:
    group = add_group(commands, "datasets", _("list, create, describe and delete datasets"), texts.DATASETS)
    add_command(group, "list", "client.resources:list_datasets", _("list datasets"), json=True)
    for name, help in (
        ("create", _("create a dataset")),
        ("describe", _("show a dataset")),
        ("delete", _("delete a dataset and every store and instance in it")),
    ):
        command = add_command(group, name, f"client.resources:{name}_dataset", help, json=True)
        command.add_argument("dataset", metavar="DATASET", help=_("id or full resource name"))
        if name == "delete":
            command.add_argument("--yes", action="store_true", help=_("do not ask for confirmation"))


def add_studies(commands: Commands[Parser]) -> None:
    group = add_group(commands, "studies", _("search, show and delete studies of a DICOM store"), texts.STUDIES)
    listing = add_command(group, "list", "client.studies:list_", _("search studies"), texts.STUDIES_LIST, json=True)
    add_store(listing)
    for flag, metavar, help in (
        ("patient-id", "ID", _("Patient ID")),
        ("patient-name", "NAME", _("Patient Name; begins with it, in any order of its words")),
        ("study-date", "DATE", _("YYYYMMDD, or a range as 20240101-20240131 or 20240101-")),
        ("accession-number", "NUMBER", _("Accession Number")),
        ("modality", "MODALITY", _("of one of its series, as CT")),
        ("description", "TEXT", _("Study Description")),
    ):
        listing.add_argument(f"--{flag}", metavar=metavar, help=help)
    help = _("another attribute, by keyword or tag; may be repeated")
    listing.add_argument("--where", metavar="ATTRIBUTE=VALUE", action="append", default=[], help=help)
    listing.add_argument("--limit", metavar="N", type=int, default=50, help=_("at most N; 0: all (default: 50)"))
    listing.add_argument("--offset", metavar="N", type=int, default=0, help=_("leave out the first N"))
    show = add_command(group, "show", "client.studies:show", _("show a study and its series"), json=True)
    delete = add_command(group, "delete", "client.studies:delete", _("delete a study and all its instances"), json=True)
    for command in (show, delete):
        command.add_argument("study", metavar="STUDY", help=_("Study Instance UID"))
        add_store(command)
    delete.add_argument("--yes", action="store_true", help=_("do not ask for confirmation"))


def add_upload(commands: Commands[Parser]) -> None:
    what = _("store DICOM files of this machine in a DICOM store")
    command = add_command(commands, "upload", "client.upload:upload", what, texts.UPLOAD, json=True)
    command.add_argument("path", metavar="PATH", nargs="+", help=_("a file, or a directory with all below it"))
    add_store(command)


def add_storage_class(commands: Commands[Parser]) -> None:
    group = add_group(commands, "storage-class", _("change the storage class of instances"), texts.STORAGE_CLASS)
    help = _("move instances to a storage class")
    command = add_command(group, "set", "client.transfer:set_storage_class", help, texts.STORAGE_CLASS, json=True)
    command.add_argument("storage_class", metavar="CLASS", type=str.upper, choices=_CLASSES, help=", ".join(_CLASSES))
    _add_transfer(command)
    command.add_argument("--filter", metavar="gs://B/F", help=_("a file of paths, /studies/…[/series/…[/instances/…]]"))
    _add_uids(command)


def _add_uids(command: Parser) -> None:
    command.add_argument("--study", metavar="UID", help=_("a study"))
    command.add_argument("--series", metavar="UID", help=_("a series of the study"))
    command.add_argument("--instance", metavar="UID", help=_("an instance of the series"))


def add_metrics(commands: Commands[Parser]) -> None:
    what = _("count studies, series, instances and bytes")
    command = add_command(commands, "metrics", "client.metrics:show", what, texts.METRICS, json=True)
    add_store(command)
    command.add_argument("--dataset", help=_("all DICOM stores of a dataset, one by one, and their sums"))
    command.add_argument("--study", metavar="UID", help=_("a study of the store"))
    command.add_argument("--series", metavar="UID", help=_("a series of the study"))


def add_iam(commands: Commands[Parser]) -> None:
    group = add_group(commands, "iam", _("see and change who may do what"), texts.IAM)
    get = add_command(
        group, "get", "client.iam:get", _("show the policy of a project, dataset or DICOM store"), json=True
    )
    add = add_command(group, "add", "client.iam:add", _("give a role to a member"), json=True)
    remove = add_command(group, "remove", "client.iam:remove", _("take a role from a member"), json=True)
    for command in (add, remove):
        command.add_argument("role", metavar="ROLE", help=_("as roles/healthcare.dicomViewer"))
        command.add_argument("member", metavar="MEMBER", help=_("as user:EMAIL, group:EMAIL, serviceAccount:EMAIL"))
        help = _("of a binding with a condition: its expression, in CEL")
        command.add_argument("--condition", metavar="EXPRESSION", help=help)
        command.add_argument("--condition-title", metavar="TITLE", default="", help=_("of the condition; it needs one"))
    for command in (get, add, remove):
        place = command.add_mutually_exclusive_group()
        place.add_argument("--store", metavar="STORE", help=_("DATASET/STORE or the full resource name"))
        place.add_argument("--dataset", help=_("id or full resource name (default: the project of --project)"))
