"""The connection flags of a command: the server, project and location, and the short names that they complete."""

from __future__ import annotations

import os
from argparse import Namespace
from shlex import quote

from gantry.client.api import Api
from gantry.errors import InvalidArgument, NotFound
from gantry.languages import _
from gantry.names import (
    DatasetName,
    DicomStoreName,
    LocationName,
    OperationName,
    check_segments,
    parse_dataset_name,
    parse_dicom_store_name,
)
from gantry.whole_numbers import read_number

_DEFAULT = ("http://127.0.0.1:8080", "gantry", "us-central1")


class Connection:
    """A server, and the location that short names are in."""

    def __init__(self, server: str, token: str, project: str, location: str) -> None:
        """Raises InvalidArgument."""
        check_segments(project, location)
        self.api = Api(server, token)
        self.location = LocationName(project, location)

    @classmethod
    def of(cls, args: Namespace) -> Connection:
        return cls(args.server, args.token, args.project, args.location)

    def store(self, text: str) -> DicomStoreName:
        """``DATASET/STORE`` or the full name. Raises InvalidArgument."""
        if not text:
            raise InvalidArgument(_("which DICOM store? Give --store DATASET/STORE or set GANTRY_STORE"))
        parts = text.split("/")
        check_segments(*parts)
        if len(parts) == 2:
            return DicomStoreName(self.location.project, self.location.location, *parts)
        try:
            return parse_dicom_store_name(text)
        except InvalidArgument:
            problem = _("{text} is neither DATASET/STORE nor {form}")
            form = "projects/P/locations/L/datasets/D/dicomStores/S"
            raise InvalidArgument(problem.format(text=repr(text), form=form)) from None

    def dataset(self, text: str) -> DatasetName:
        """An id or the full name. Raises InvalidArgument."""
        parts = text.split("/")
        check_segments(*parts)
        if len(parts) == 1:
            return DatasetName(self.location.project, self.location.location, text)
        try:
            return parse_dataset_name(text)
        except InvalidArgument:
            problem = _("{text} is neither the id of a dataset nor {form}")
            raise InvalidArgument(problem.format(text=repr(text), form="projects/P/locations/L/datasets/D")) from None

    def dataset_or_default(self, text: str | None) -> DatasetName:
        """The dataset of the flag, else of GANTRY_STORE, else the only one. Raises InvalidArgument, NotFound."""
        if text:
            return self.dataset(text)
        if store := os.environ.get("GANTRY_STORE"):
            return self.store(store).parent
        datasets = [item["name"] for item in self.api.list(f"{self.location}/datasets")]
        if not datasets:
            problem = _("there is no dataset in {location}; `gantry stores create DATASET/STORE` creates one")
            raise NotFound(problem.format(location=self.location))
        if len(datasets) > 1:
            ids = sorted(name.rpartition("/")[2] for name in datasets)
            listed = ", ".join(ids[:10]) + (", …" if len(ids) > 10 else "")
            raise InvalidArgument(_("which dataset? Give --dataset, one of {ids}").format(ids=listed))
        return self.dataset(datasets[0])

    def operation(self, text: str, dataset: str | None) -> OperationName:
        """A number in ``dataset``, or the full name. Raises InvalidArgument."""
        parent, _separator, number = text.rpartition("/operations/")
        id = read_number(number)
        if id is not None and text == number:
            return OperationName(self.dataset_or_default(dataset), id)
        if id is not None and parent:
            return OperationName(self.dataset(parent), id)
        problem = _("{text} is neither the number of an operation nor {form}")
        form = "projects/P/locations/L/datasets/D/operations/ID"
        raise InvalidArgument(problem.format(text=repr(text), form=form))

    def command(self, verb: str, name: str) -> str:
        """The command line ``gantry operations VERB`` for the operation ``name``, to copy."""
        operation = self.operation(name, None)
        place = operation.dataset.parent
        program = os.environ.get("GANTRY_PROGRAM") or "gantry"
        words = [program, "operations", verb, str(operation.id), "--dataset", quote(operation.dataset.dataset)]
        flags = zip(("--server", "--project", "--location"), _DEFAULT, strict=True)
        for (flag, default), value in zip(flags, (self.api.server, place.project, place.location), strict=True):
            if (os.environ.get(f"GANTRY_{flag[2:].upper()}") or default).rstrip("/") != value:
                words += [flag, quote(value)]
        return " ".join(words)
