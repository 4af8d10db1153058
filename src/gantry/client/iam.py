"""``iam``: the policy of a project, a dataset or a DICOM store."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from shlex import quote

from gantry.client.api import Json
from gantry.client.connection import Connection
from gantry.client.terminal import note, printable, say, say_json, table
from gantry.errors import Aborted, InvalidArgument, NotFound
from gantry.languages import _

_TRIES = 5
_CONDITIONS = 3  # the version of a policy that may have conditions

_Change = Callable[[list[Json]], bool]
"""Changes bindings in place; whether anything is different."""


def get(args: Namespace) -> int:
    """Print each role with its members."""
    policy = _Place(args).read()
    if args.json:
        say_json(policy)
        return 0
    rows = [
        (binding["role"], member, (binding.get("condition") or {}).get("expression", ""))
        for binding in policy.get("bindings", ())
        for member in binding.get("members", ())
    ]
    if rows:
        table((_("ROLE"), _("MEMBER"), _("CONDITION")), rows)
    else:
        note(_("the policy has no bindings"))
    return 0


def add(args: Namespace) -> int:
    """Give a role to a member. That it has it already is no error."""
    condition = _read_condition(args)

    def change(bindings: list[Json]) -> bool:
        binding = _find(bindings, args.role, condition)
        if binding is None:
            binding = {"role": args.role, "members": []} | ({"condition": condition} if condition else {})
            bindings.append(binding)
        if args.member in binding["members"]:
            return False
        binding["members"].append(args.member)
        return True

    return _change(args, change, _("gave {role} to {member}"), _("{member} has {role} already"))


def remove(args: Namespace) -> int:
    """Take a role from a member. Raises NotFound where it does not have it."""
    condition = _read_condition(args)

    def change(bindings: list[Json]) -> bool:
        binding = _find(bindings, args.role, condition)
        if binding is None or args.member not in binding["members"]:
            raise NotFound(_describe_absence(bindings, args))
        binding["members"].remove(args.member)
        if not binding["members"]:
            bindings.remove(binding)
        return True

    return _change(args, change, _("took {role} from {member}"), "")


def _change(args: Namespace, change: _Change, done: str, same: str) -> int:
    """Read, change and write the policy; again where somebody else has written it meanwhile. ``done`` or ``same`` is
    said then."""
    place = _Place(args)
    for left in reversed(range(_TRIES)):
        policy = place.read()
        bindings = policy.setdefault("bindings", [])
        if not change(bindings):
            return _report(args, policy, same)
        if any(binding.get("condition") for binding in bindings):
            policy["version"] = _CONDITIONS
        try:
            return _report(args, place.write(policy), done)
        except Aborted:
            if not left:
                raise
    raise AssertionError


def _report(args: Namespace, policy: Json, sentence: str) -> int:
    if args.json:
        say_json(policy)
    else:
        say(printable(sentence.format(role=args.role, member=args.member)))
    return 0


class _Place:
    """A resource that has a policy."""

    def __init__(self, args: Namespace) -> None:
        connection = Connection.of(args)
        self._api = connection.api
        if args.store:
            self._name = str(connection.store(args.store))
        elif args.dataset:
            self._name = str(connection.dataset(args.dataset))
        else:
            self._name = f"projects/{connection.location.project}"
            self._is_project = True
            return
        self._is_project = False

    def read(self) -> Json:
        if self._is_project:  # Resource Manager v1
            options: Json = {"options": {"requestedPolicyVersion": _CONDITIONS}}
            return self._api.post(f"{self._name}:getIamPolicy", options)
        return self._api.get(f"{self._name}:getIamPolicy", **{"options.requestedPolicyVersion": str(_CONDITIONS)})

    def write(self, policy: Json) -> Json:
        return self._api.post(f"{self._name}:setIamPolicy", {"policy": policy})


def _read_condition(args: Namespace) -> Json:
    """Empty without one. Raises InvalidArgument."""
    if bool(args.condition) != bool(args.condition_title):
        raise InvalidArgument(_("--condition and --condition-title: give both, or none"))
    return {"expression": args.condition, "title": args.condition_title} if args.condition else {}


def _find(bindings: list[Json], role: str, condition: Json) -> Json | None:
    """The binding of a role with the same condition, or without one."""
    for binding in bindings:
        its = binding.get("condition") or {}
        if binding["role"] == role and all(its.get(key) == condition.get(key) for key in ("expression", "title")):
            binding.setdefault("members", [])
            return binding
    return None


def _describe_absence(bindings: list[Json], args: Namespace) -> str:
    """With what to write for a binding of the same member with another condition."""
    text, flags = _("{member} does not have {role} here"), ""
    for binding in bindings:
        if binding["role"] == args.role and args.member in binding.get("members", ()):
            if its := binding.get("condition"):
                flags = f"--condition {quote(its['expression'])} --condition-title {quote(its['title'])}"
                text = _("{member} does not have {role} here without a condition; it has it with {flags}")
            else:
                text = _("{member} does not have {role} here with this condition; it has it without one")
            break
    return text.format(member=args.member, role=args.role, flags=flags)
