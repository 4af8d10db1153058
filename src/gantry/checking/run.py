"""All checks, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gantry.checking.contents import check_contents
from gantry.checking.directory import Checked
from gantry.checking.headers import check_headers
from gantry.checking.stored import check_stored
from gantry.checking.uploads import check_uploads
from gantry.errors import StatusError
from gantry.findings import Finding, Kind

CHECKS: dict[str, Callable[[Checked], Iterator[Finding]]] = {
    "the index itself": lambda checked: checked.index.checks.find_damage(),
    "marks of directories": lambda checked: (found for find in checked.marks for found in find()),
    "rows": lambda checked: checked.index.checks.find_wrong_rows(),
    "places in segments": lambda checked: checked.index.checks.find_overlaps(),
    "counts": lambda checked: checked.index.checks.find_wrong_counts(),
    "terms of searches": lambda checked: checked.index.checks.find_wrong_terms(),
    "changes": lambda checked: checked.index.checks.find_wrong_changes(),
    "headers": check_headers,
    "bytes of instances": check_stored,
    "uploads in parts": check_uploads,
    "contents of segments": check_contents,
}
"""The name of a check, for reports of progress, and what finds its findings. A new check is one more line."""


def check(checked: Checked) -> Iterator[Finding]:
    """Everything that is wrong, as it is found. A check that cannot go on is a finding NOT_CHECKED; the others run."""
    for name, find in CHECKS.items():
        checked.tell(name, 0)
        try:
            yield from find(checked)
        except StatusError as error:
            yield Finding(Kind.NOT_CHECKED, name, error.what)
