"""``stores update``: labels, notifications and streams of a DICOM store."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

from gantry.client.api import Json
from gantry.client.connection import Connection
from gantry.client.resources import report
from gantry.errors import InvalidArgument
from gantry.languages import _
from gantry.system_errors import describe_os_error


def update(args: Namespace) -> int:
    """Change what the flags name, and nothing else."""
    connection = Connection.of(args)
    name = connection.store(args.store)
    body = _read_json(args.from_file) if args.from_file else {}
    mask = [field for field in body if field != "name"]
    for field, value in _read_flags(args).items():
        body[field] = value
        mask.append(field)
    labels = _read_labels(args.label)
    mask += [f"labels.{key}" for key in (*labels, *args.remove_label)]  # others' labels stay as they are
    if not mask:
        raise InvalidArgument(_("what shall be changed? Give --label, --notify, --stream or another flag"))
    if (labels or args.remove_label) and "labels" in body:
        raise InvalidArgument(_("--from-file has labels: leave out --label and --remove-label"))
    if labels:
        body["labels"] = labels
    store = connection.api.patch(str(name), body, updateMask=",".join(mask))
    return report(args, store, _("updated DICOM store {name}").format(name=name))


def _read_flags(args: Namespace) -> Json:
    """The fields of the flags for notifications and streams."""
    fields: Json = {}
    if args.notify or args.no_notify:
        fields["notificationConfigs"] = [{"pubsubTopic": topic} for topic in args.notify or ()]
        fields["notificationConfig"] = None  # the older field, for one topic, would publish as before
    if args.stream or args.no_stream:
        fields["streamConfigs"] = [{"bigqueryDestination": {"tableUri": table}} for table in args.stream or ()]
    return fields


def _read_labels(texts: list[str]) -> dict[str, str]:
    labels = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise InvalidArgument(_("--label: {text} is not KEY=VALUE").format(text=repr(text)))
        labels[key] = value
    return labels


def _read_json(name: str) -> Json:
    """Raises InvalidArgument."""
    try:
        found = json.loads(sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidArgument(f"--from-file: {name}: {_(describe_os_error(error))}") from None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        problem = _("--from-file: {name}: is not a JSON object with fields of a DicomStore")
        raise InvalidArgument(problem.format(name=name))
    return found
