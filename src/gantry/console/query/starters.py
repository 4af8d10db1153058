"""Queries to begin with, of a table and of the columns that it has."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from gantry.console.query.tables import name_of
from gantry.languages import N_, _
from gantry.query_seams import TableInfo


class Starter(NamedTuple):
    title: str
    text: str


_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_STARTERS: tuple[tuple[str, Collection[str], str], ...] = (
    (
        N_("Instances by modality"),
        ("Modality",),
        "SELECT Modality, COUNT(*) AS instances\nFROM `{table}`\nGROUP BY Modality\nORDER BY instances DESC",
    ),
    (
        N_("Instances by month"),
        ("StudyDate",),
        "SELECT FORMAT_DATE('%Y-%m', StudyDate) AS month, COUNT(*) AS instances\nFROM `{table}`\nGROUP BY month\n"
        "ORDER BY month",
    ),
    (
        N_("Bytes by storage class"),
        ("StorageClass", "BlobStorageSize"),
        "SELECT StorageClass, COUNT(*) AS instances, SUM(BlobStorageSize) AS bytes\nFROM `{table}`\n"
        "GROUP BY StorageClass\nORDER BY bytes DESC",
    ),
    (
        N_("Paths for a filter file"),
        (*_UIDS, "Modality"),
        "SELECT CONCAT('/studies/', StudyInstanceUID, '/series/', SeriesInstanceUID,\n"
        "  '/instances/', SOPInstanceUID) AS path\nFROM `{table}`\nWHERE Modality = 'CT'",
    ),
    (
        N_("Instances by modality"),
        ("Metadata",),
        "SELECT JSON_VALUE(Metadata, '$.\"00080060\".Value[0]') AS modality, COUNT(*) AS instances\nFROM `{table}`\n"
        "GROUP BY modality\nORDER BY instances DESC",
    ),
    (
        N_("Paths for a filter file"),
        (*_UIDS, "Metadata"),
        "SELECT CONCAT('/studies/', StudyInstanceUID, '/series/', SeriesInstanceUID,\n"
        "  '/instances/', SOPInstanceUID) AS path\nFROM `{table}`\n"
        "WHERE JSON_VALUE(Metadata, '$.\"00080060\".Value[0]') = 'CT'",
    ),
)


def list_starters(info: TableInfo) -> list[Starter]:
    """Those whose columns the table has; of two with one title the first."""
    names, found = {field.name for field in info.fields}, dict[str, str]()
    for title, columns, text in _STARTERS:
        if names.issuperset(columns):
            found.setdefault(title, text.replace("{table}", name_of(info.address)))
    return [Starter(_(title), text) for title, text in found.items()]
