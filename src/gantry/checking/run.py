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
from gantry.languages import N_

CHECKS: dict[str, Callable[[Checked], Iterator[Finding]]] = {
    N_("the index itself"): lambda checked: checked.index.checks.find_damage(),
    N_("marks of directories"): lambda checked: (found for find in checked.marks for found in find()),
    N_("rows"): lambda checked: checked.index.checks.find_wrong_rows(),
    N_("places in segments"): lambda checked: checked.index.checks.find_overlaps(),
    N_("counts"): lambda checked: checked.index.checks.find_wrong_counts(),
    N_("terms of searches"): lambda checked: checked.index.checks.find_wrong_terms(),
    N_("changes"): lambda checked: checked.index.checks.find_wrong_changes(),
    N_("headers"): check_headers,
    N_("bytes of instances"): check_stored,
    N_("uploads in parts"): check_uploads,
    N_("contents of segments"): check_contents,
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
