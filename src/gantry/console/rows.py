"""Studies, series and instances as rows of a page: their values as people read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gantry.console.formats import dicom_day
from gantry.languages import _
from gantry.whole_numbers import read_number

_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


@dataclass(frozen=True, slots=True)
class Row:
    """A study, series or instance in DICOM JSON, as a search returns it."""

    found: dict[str, Any]

    def text(self, tag: str) -> str:
        """The values of an attribute as text; of a name all component groups, the alphabetic one first."""
        values = self.found.get(tag, {}).get("Value", ())
        return ", ".join(filter(None, map(as_text, values)))

    @property
    def uid(self) -> str:
        return next(self.text(tag) for tag in ("00080018", "0020000E", "0020000D") if tag in self.found)

    @property
    def patient(self) -> str:
        """The name of the patient; "" without one."""
        return self.text("00100010")

    @property
    def name(self) -> str:
        return self.patient or _("(no name)")

    @property
    def label(self) -> str:
        """What tells the study from others: the patient's name, else the ID, else the end of the UID."""
        return self.patient or self.text("00100020") or f"…{self.uid[-8:]}"

    def number(self, tag: str) -> int:
        """0 where there is none."""
        return read_number(self.text(tag), 1 << 62) or 0

    @property
    def born(self) -> str:
        return dicom_day(self.text("00100030"))

    @property
    def date(self) -> str:
        return dicom_day(self.text("00080020"))


def as_text(value: Any) -> str:
    if isinstance(value, dict):
        return " · ".join(filter(None, (_as_name(value.get(group, "")) for group in _GROUPS)))
    return "" if value is None else str(value)


def _as_name(group: str) -> str:
    family, _, given = group.partition("^")
    return ", ".join(filter(None, (family.strip(), given.replace("^", " ").strip())))
