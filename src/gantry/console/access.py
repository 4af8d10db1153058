"""*Access*: who may do what on a project, a dataset or a DICOM store, by person; and its change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from starlette.responses import Response

from gantry.api.access import Resource
from gantry.console.page_call import BASE, Crumb, PageCall, address_of, crumbs_of
from gantry.console.people import (
    KINDS,
    Change,
    Person,
    apply,
    find_effect,
    list_people,
    list_roles,
    say,
    summarize,
)
from gantry.console.refusals import Refused
from gantry.errors import InvalidArgument, StatusError
from gantry.iam.policies import EVERYBODY, check_member, fold_member
from gantry.iam.roles import PREDEFINED, Roles
from gantry.languages import _
from gantry.names import DatasetName, DicomStoreName, url_path
from gantry.whole_numbers import read_number

_PAGE, _FEW = 50, 10  # people of a page; who can be looked through without a search
_PLACES = 100  # datasets
Json = dict[str, Any]


class Level(NamedTuple):
    """Where a policy is: ``path`` is the name of the resource in the API; ``kind`` begins its permissions."""

    resource: Resource
    path: str
    kind: str
    title: str

    @property
    def address(self) -> str:
        return f"{BASE}/{url_path(self.path)}/access"

    def name_permission(self, verb: str) -> str:
        prefix = "resourcemanager" if self.kind == "projects" else "healthcare"
        return f"{prefix}.{self.kind}.{verb}"


def list_levels(resource: Resource) -> list[Level]:
    """Of a resource, and of those above it whose policies hold there, too."""
    if isinstance(resource, DicomStoreName):
        own = Level(resource, str(resource), "dicomStores", _("DICOM store {name}").format(name=resource.store))
        return [own, *list_levels(resource.parent)]
    if isinstance(resource, DatasetName):
        own = Level(resource, str(resource), "datasets", _("dataset {name}").format(name=resource.dataset))
        return [own, *list_levels(resource.project)]
    return [Level(resource, f"projects/{resource}", "projects", _("project {name}").format(name=resource))]


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies that hold on a resource, its own first; ``hidden`` are those that the caller may not see. The last
    one is that of the setting ``admins``, where it may be seen."""

    levels: list[Level]
    found: list[Json]
    titles: list[str] = field(default_factory=list)
    hidden: list[Level] = field(default_factory=list)

    @property
    def own(self) -> Json:
        return self.found[0]

    @property
    def kind(self) -> str:
        """Of the resource, as ``list_people`` knows it: people of a project get what it gives on datasets."""
        kind = self.levels[0].kind
        return "datasets" if kind == "projects" else kind


def read_policies(call: PageCall, resource: Resource) -> Policies:
    """Raises PermissionDenied where the own one may not be seen, NotFound."""
    levels = list_levels(resource)
    read = Policies(levels, [_read(call, levels[0])], [levels[0].title])
    for each in levels[1:]:
        if call.api.caller.has(each.name_permission("getIamPolicy"), each.resource):
            read.found.append(_read(call, each))
            read.titles.append(each.title)
        else:
            read.hidden.append(each)
    if call.context.access is not None and call.api.caller.administers:
        members = list(call.context.access.above)
        read.found.append({"bindings": [{"role": "roles/owner", "members": members}] if members else []})
        read.titles.append(_("the setting admins"))
    return read


def _read(call: PageCall, level: Level) -> Json:
    verb = "POST" if level.kind == "projects" else "GET"
    found: Json = call.api.send(verb, f"{level.path}:getIamPolicy")
    return found


def roles_of(call: PageCall) -> Roles:
    return call.context.access.roles if call.context.access is not None else Roles()


# The page ------------------------------------------------------------------------------------------------------------


def show_store(call: PageCall) -> Response:
    return _show(call, call.store)


def show_dataset(call: PageCall) -> Response:
    return _show(call, call.dataset)


def show_project(call: PageCall) -> Response:
    return _show(call, call.ids[0])


def _show(call: PageCall, resource: Resource, error: StatusError | None = None) -> Response:
    policies = read_policies(call, resource)
    level, text = policies.levels[0], call.query.get("q", "").strip()
    everybody = _list(call, policies)
    people = [each for each in everybody if text.lower() in each.name.lower()]
    page = max(1, read_number(call.query.get("page", "")) or 1)
    may_change = call.api.caller.has(level.name_permission("setIamPolicy"), resource)
    return call.show(
        "access.html",
        200 if error is None else error.http,
        crumbs=_crumbs(level),
        level=level,
        levels=policies.levels,
        people=people[(page - 1) * _PAGE : page * _PAGE],
        count=len(people),
        page=page,
        has_more=len(people) > page * _PAGE,
        text=text,
        may_search=bool(text) or len(everybody) > _FEW,
        titles=policies.titles,
        summarize=summarize,
        hidden=[each.title for each in policies.hidden],
        is_on=call.context.access is not None,
        may_change=may_change,
        needed=_name_roles(level.name_permission("setIamPolicy")),
        kinds={key: _(words) for key, words in KINDS.items()},
        roles=[(role, summarize(gives)) for role, gives in list_roles(roles_of(call), policies.kind)],
        given={"kind": "user", "name": "", "role": ""} | call.query | call.form,
        error=error,
    )


def _list(call: PageCall, policies: Policies) -> list[Person]:
    return list_people(policies.found, roles_of(call), policies.kind)


def _name_roles(permission: str) -> str:
    """The roles that give a permission, of those made for it; the basic one where there is none."""
    return ", ".join(role for role, held in PREDEFINED.items() if permission in held and "." in role) or "roles/owner"


def _crumbs(level: Level, *more: Crumb) -> tuple[Crumb, ...]:
    above = () if isinstance(level.resource, str) else crumbs_of(level.resource)
    here = Crumb(_("Access"), level.address if more else "")
    first = (Crumb(level.title, ""),) if isinstance(level.resource, str) else ()
    return (*above, *first, here, *more)


# A change: first what it would do, then the change itself -------------------------------------------------------------


def ask_store(call: PageCall) -> Response:
    return _ask(call, call.store)


def ask_dataset(call: PageCall) -> Response:
    return _ask(call, call.dataset)


def ask_project(call: PageCall) -> Response:
    return _ask(call, call.ids[0])


def save_store(call: PageCall) -> Response:
    return _save(call, call.store)


def save_dataset(call: PageCall) -> Response:
    return _save(call, call.dataset)


def save_project(call: PageCall) -> Response:
    return _save(call, call.ids[0])


def _ask(call: PageCall, resource: Resource, error: StatusError | None = None) -> Response:
    """What a change would do, and the button that makes it."""
    given = dict(call.form or call.query)
    level = list_levels(resource)[0]
    call.api.caller.require(level.name_permission("setIamPolicy"), resource)
    try:
        change = _read_change(call, given)
    except InvalidArgument as wrong:
        return _show(call, resource, wrong)
    policies = read_policies(call, resource)
    changed = apply(policies.own, change)
    effect = find_effect(policies.found, changed, change.member, roles_of(call), policies.kind)
    return call.show(
        "access_change.html",
        200 if error is None else error.http,
        crumbs=_crumbs(level, Crumb(_("Change"), "")),
        level=level,
        change=change,
        person=Person(change.member),
        effect=effect,
        is_above=not isinstance(resource, DicomStoreName),
        say=say,
        is_same=changed.get("bindings", []) == policies.own.get("bindings", []),
        is_on=call.context.access is not None,
        is_oneself=_locks_out(call, change, effect.loses),
        hidden=[each.title for each in policies.hidden],
        etag=policies.own.get("etag", ""),
        error=error,
    )


def _read_change(call: PageCall, given: dict[str, str]) -> Change:
    """Raises InvalidArgument."""
    kind, name = given.get("kind", ""), given.get("name", "").strip()
    member = EVERYBODY if kind == EVERYBODY else f"{kind}:{name}" if kind else given.get("member", "")
    adds, role = given.get("do") != "remove", given.get("role", "")
    if adds:
        check_member(member)
        if role not in roles_of(call):
            raise Refused(_("choose what the person may do"))
    return Change(adds, fold_member(member), role, given.get("condition", ""))


def _locks_out(call: PageCall, change: Change, loses: tuple[str, ...]) -> bool:
    """Whether callers would take the change of access from themselves."""
    is_own = call.api.caller.name == change.member and not call.api.caller.administers
    return is_own and "change who has access" in loses


def _save(call: PageCall, resource: Resource) -> Response:
    """As ``setIamPolicy`` does it, and only if the policy is the one that was looked at (its etag)."""
    level = list_levels(resource)[0]
    try:
        change = _read_change(call, call.form)
        policy = apply(_read(call, level), change) | {"etag": call.form.get("etag", "")}
        call.api.send("POST", f"{level.path}:setIamPolicy", {"policy": policy})
    except StatusError as error:
        return _ask(call, resource, error)
    text = _("{who} has the role {role} now.") if change.adds else _("{who} does not have the role {role} any more.")
    return call.go(level.address, text.format(who=Person(change.member).name, role=change.role))


# All places -----------------------------------------------------------------------------------------------------------


def show_all(call: PageCall) -> Response:
    """How callers are authenticated, and where there are policies."""
    names = call.context.seams.index.resources.list_dataset_names(_PLACES + 1, None)
    seen = [each for each in names[:_PLACES] if call.may("datasets.get", each)]
    projects = dict.fromkeys(each.project for each in seen)
    visible = [each for each in projects if call.api.caller.has("resourcemanager.projects.getIamPolicy", each)]
    return call.show(
        "access_all.html",
        crumbs=(Crumb(_("Access"), ""),),
        is_on=call.context.access is not None,
        is_whole=call.api.caller.administers,
        admins=[Person(each) for each in call.context.access.above] if call.context.access is not None else [],
        with_issuer=call.context.access is not None and call.context.access.sign_in is not None,
        projects=[(each, f"{BASE}/projects/{url_path(each)}/access") for each in visible],
        datasets=[(each, f"{address_of(each)}/access") for each in seen],
        more=len(names) > _PLACES,
    )
