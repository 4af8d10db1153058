"""*Buckets*: which bucket is where, and whether this server can list, read and write it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple
from urllib.parse import quote

from starlette.responses import Response

from gantry.api.bucket_checks import Check, Checked
from gantry.api.methods import CHECK_BUCKET, CHECK_BUCKET_FOR_STORE, SHOW_BUCKETS
from gantry.api.server_facts import BucketGrant, KnownBucket
from gantry.console.page_call import BASE, Crumb, PageCall, address_of, crumbs_of
from gantry.errors import PermissionDenied
from gantry.languages import N_, _, pgettext
from gantry.storage.uris import name_of_bucket

PROVIDERS = {
    "": N_("Directory of this server"),
    "s3": N_("S3"),
    "gcs": N_("Google Cloud Storage"),
    "azure": N_("Azure Blob Storage"),
}
_WRITER = "console"
_OF_WRITING = ("write", "read back", "delete")


class Finding(NamedTuple):
    """What is known of a right: its sign and words for the page, and what failed."""

    kind: str
    word: str
    detail: str = ""


class Row(NamedTuple):
    """``reads`` and ``writes`` are the rules that let the caller's stores read and write; None: no rule does.
    ``rules`` say in words who may do what."""

    bucket: KnownBucket
    reads: BucketGrant | None
    writes: BucketGrant | None
    check: Check | None
    rules: Sequence[str]

    @property
    def provider(self) -> str:
        return _(PROVIDERS[self.bucket.provider]) if self.bucket.provider in PROVIDERS else self.bucket.provider

    @property
    def name(self) -> str:
        return name_of_bucket(self.bucket.address)

    @property
    def wanted(self) -> Checked:
        return _wanted(self.bucket, self.reads, self.writes)

    @property
    def pattern(self) -> str:
        """The address of all that may be imported, as part of an address of a page."""
        prefix = self.reads.prefix if self.reads else ""
        return quote(f"{self.bucket.address}/{prefix}**", safe="")

    @property
    def findings(self) -> tuple[tuple[str, Finding], ...]:
        return (
            (_("List"), _judge(self.check, ("list",), self.reads)),
            (pgettext("permission", "Read"), _judge(self.check, ("read",), self.reads)),
            (_("Write"), _judge(self.check, _OF_WRITING, self.writes)),
        )

    @property
    def is_running(self) -> bool:
        return self.check is not None and not self.check.is_done and not self.check.gives_no_answer


def _wanted(bucket: KnownBucket, reads: BucketGrant | None, writes: BucketGrant | None) -> Checked:
    read, write = (grant.prefix if grant else None for grant in (reads, writes))
    return Checked(bucket.address, read, write, bucket.holds_blobs)


def _judge(check: Check | None, rights: Sequence[str], grant: BucketGrant | None) -> Finding:
    if grant is None:
        return Finding("cancelled", _("Not allowed"), _("no rule of bucket_rules allows it"))
    if check is None:
        return Finding("none", _("Not checked"))
    if check.gives_no_answer:
        return Finding("failed", _("No answer"))
    if not check.is_done:
        return Finding("running", _("Checking"))
    if check.problem:
        return Finding("failed", _("No"), check.problem)
    trials = [trial for right in rights if (trial := check.find(right)) is not None]
    if wrong := next((each for each in trials if each.works is False), None):
        return Finding("failed", _("No"), wrong.detail)
    if any(each.works for each in trials):
        return Finding("ok", _("Yes"))
    return Finding("none", _("Not known"), _("there is no object to try it with"))


# All buckets, for administrators --------------------------------------------------------------------------------------


def show_buckets(call: PageCall) -> Response:
    """Raises PermissionDenied."""
    with call.api.use(SHOW_BUCKETS, ()):
        call.api.caller.require_administrator()
    return _show(call, list_rows(call), "buckets", (Crumb(_("Buckets"), ""),))


def check_buckets(call: PageCall) -> Response:
    """Begin to check a bucket, or all of them. Raises PermissionDenied."""
    with call.api.use(CHECK_BUCKET, ()):
        call.api.caller.require_administrator()
    _begin(call, list_rows(call))
    return call.go("buckets")


def list_rows(call: PageCall) -> list[Row]:
    """All buckets of the settings, with what any rule allows."""
    return [
        _make_row(call, each, each.find_grant("read"), each.find_grant("write"), _describe_rules(each))
        for each in call.context.facts.buckets.list_known()
    ]


def _describe_rules(bucket: KnownBucket) -> list[str]:
    """In words, where rules restrict anything."""
    return [_describe(each) for each in bucket.grants if each.prefix or each.datasets or not each.reads & each.writes]


def _describe(grant: BucketGrant) -> str:
    who = ", ".join(each.rpartition("/")[2] for each in grant.datasets) or _("every dataset")
    what = _("read and write") if grant.reads and grant.writes else _("read") if grant.reads else _("write")
    if grant.prefix:
        return _("{who} may {what} below {prefix}").format(who=who, what=what, prefix=grant.prefix)
    return _("{who} may {what}").format(who=who, what=what)


# Those of a store ---------------------------------------------------------------------------------------------------


def show_for_store(call: PageCall) -> Response:
    """Raises PermissionDenied, NotFound."""
    call.api.get(str(call.store))
    rows = _list_for_store(call)
    return _show(call, rows, f"{call.store}/buckets", (*crumbs_of(call.store), Crumb(_("Buckets"), "")))


def check_for_store(call: PageCall) -> Response:
    """Raises PermissionDenied."""
    with call.api.use(CHECK_BUCKET_FOR_STORE, call.ids):
        rows = _list_for_store(call)
    _begin(call, rows)
    return call.go(f"{address_of(call.store)}/buckets")


def _list_for_store(call: PageCall) -> list[Row]:
    """Those that the caller may import from, or export to. Raises PermissionDenied for a caller who may do neither."""
    may_read, may_write = call.may("dicomStores.import", call.store), call.may("dicomStores.export", call.store)
    if not may_read and not may_write:
        _refuse(call)
    dataset, rows = str(call.dataset), []
    for each in call.context.facts.buckets.list_known():
        reads = each.find_grant("read", dataset) if may_read else None
        writes = each.find_grant("write", dataset) if may_write else None
        if reads or writes:
            rows.append(_make_row(call, each, reads, writes, ()))
    return rows


def _refuse(call: PageCall) -> None:
    try:
        call.api.caller.require("healthcare.dicomStores.import", call.store)
    except PermissionDenied as error:
        raise PermissionDenied(f"buckets are shown to who may import or export: {error.what}") from None


# Both -----------------------------------------------------------------------------------------------------------------


def _make_row(
    call: PageCall,
    bucket: KnownBucket,
    reads: BucketGrant | None,
    writes: BucketGrant | None,
    rules: Sequence[str],
) -> Row:
    check = call.context.bucket_checks.get(_wanted(bucket, reads, writes))
    return Row(bucket, reads, writes, check, rules)


def _show(call: PageCall, rows: list[Row], path: str, crumbs: tuple[Crumb, ...]) -> Response:
    here = path if path == "buckets" else f"{address_of(call.store)}/buckets".removeprefix(f"{BASE}/")
    return call.show(
        "buckets.html",
        crumbs=crumbs,
        rows=rows,
        here=f"{BASE}/{here}",
        store=None if path == "buckets" else call.store,
        is_whole=call.api.caller.administers,
        is_running=any(each.is_running for each in rows),
        can_check=any(not each.bucket.is_pattern for each in rows),
        may_import=path != "buckets" and call.may("dicomStores.import", call.store),
        may_export=path != "buckets" and call.may("dicomStores.export", call.store),
    )


def _begin(call: PageCall, rows: Sequence[Row]) -> None:
    """``bucket`` of the form names one; without it all are checked."""
    chosen = call.form.get("bucket", "")
    for row in rows:
        if not row.bucket.is_pattern and chosen in ("", row.bucket.address):
            address = row.bucket.address
            reach = partial(call.context.facts.buckets.reach, address, _WRITER)
            call.context.bucket_checks.begin(row.wanted, reach)
