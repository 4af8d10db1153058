"""Policies of projects, datasets and DICOM stores (spec §12.2)."""

from __future__ import annotations

import base64

from pydantic import StrictInt

from gantry.api.access import Resource
from gantry.api.call import Call
from gantry.api.effects import require_effect
from gantry.api.messages import Json, Message, enum_name, read_request
from gantry.errors import Aborted, InvalidArgument, NotFound, invalid_field
from gantry.iam.policies import Binding, Condition, Policy, check_bindings, etag_of, write_policy
from gantry.iam.roles import Roles
from gantry.whole_numbers import read_number

_VERSIONS = (0, 1, 3)
_LOG_TYPES = ("LOG_TYPE_UNSPECIFIED", "ADMIN_READ", "DATA_WRITE", "DATA_READ")
_FIELDS = ("bindings", "etag", "version", "auditConfigs")
_MAX_PERMISSIONS = 100


class ExprBody(Message):
    expression: str
    title: str | None = None
    description: str | None = None
    location: str | None = None


class BindingBody(Message):
    role: str
    members: list[str] | None = None
    condition: ExprBody | None = None


class AuditLogConfig(Message):
    log_type: str | StrictInt | None = None
    exempted_members: list[str] | None = None


class AuditConfig(Message):
    service: str | None = None
    audit_log_configs: list[AuditLogConfig] | None = None


class PolicyBody(Message):
    version: int | None = None
    bindings: list[BindingBody] | None = None
    etag: str | None = None
    audit_configs: list[AuditConfig] | None = None


class GetPolicyOptions(Message):
    requested_policy_version: int | None = None


class GetIamPolicyRequest(Message):
    options: GetPolicyOptions | None = None


class SetIamPolicyRequest(Message):
    policy: PolicyBody | None = None
    update_mask: str | None = None


class TestIamPermissionsRequest(Message):
    permissions: list[str] | None = None


def get_policy(call: Call) -> Json:
    """Conditions are always shown, whichever version is requested: without them a policy would mean something else."""
    options = read_request(GetIamPolicyRequest, call.body, resource=_spellings(call)).options
    in_body = None if options is None else options.requested_policy_version
    version = call.query.get("options.requestedPolicyVersion", str(in_body or 0))
    if read_number(version) not in _VERSIONS:
        raise invalid_field("options.requestedPolicyVersion", f"{version[:20]!r} is none of 0, 1 and 3")
    return _answer(call.context.seams.index.access.get_policy(_resource(call)))


def set_policy(call: Call) -> Json:
    """Replace the whole policy; with an etag, only if it has not changed since. Raises Aborted, InvalidArgument."""
    request = read_request(SetIamPolicyRequest, call.body, resource=_spellings(call))
    body = request.policy
    if body is None:
        raise invalid_field("policy", "is required")
    mask = {name.strip() for name in (request.update_mask or "bindings,etag").split(",")}
    if wrong := sorted(mask.difference(_FIELDS, ("audit_configs",))):
        raise invalid_field("updateMask", f"{wrong[0][:100]!r} is none of {', '.join(_FIELDS)}")
    if (body.version or 0) not in _VERSIONS:
        raise invalid_field("policy.version", f"{body.version} is none of 0, 1 and 3")
    etag = _read_etag(body.etag or "")
    bindings = check_bindings(map(_binding, body.bindings or ()), _roles(call))

    def change(text: str) -> str:
        if etag and etag != etag_of(text):
            raise Aborted("the policy was changed since its etag was read; read it again and repeat the change")
        old = Policy.from_text(text)
        sent = tuple(map(_write_audits, body.audit_configs or ()))
        audits = sent if mask & {"auditConfigs", "audit_configs"} else old.audit_configs
        new = write_policy(Policy(bindings if "bindings" in mask else old.bindings, audits))
        if sent and sent != old.audit_configs:
            require_effect("auditConfigs", call.context.accept_without_effect)
        return new

    return _answer(call.context.seams.index.access.change_policy(_resource(call), change))


def test_permissions(call: Call) -> Json:
    """The permissions of the list that the caller has: none on a resource that does not exist (discovery document)."""
    names = read_request(TestIamPermissionsRequest, call.body, resource=_spellings(call)).permissions or []
    if len(names) > _MAX_PERMISSIONS:
        raise invalid_field("permissions", f"has more than {_MAX_PERMISSIONS}")
    if wrong := [name for name in names if "*" in name or not name]:
        raise invalid_field("permissions", f"{wrong[0][:100]!r} is no permission; wildcards are not allowed")
    resource = _resource(call)
    held = [name for name in dict.fromkeys(names) if call.caller.has(name, resource)] if _exists(call, resource) else []
    return {"permissions": held} if held else {}


def _write_audits(config: AuditConfig) -> Json:
    """As it is kept and shown. Raises InvalidArgument."""
    for each in config.audit_log_configs or ():
        each.log_type = enum_name("policy.auditConfigs.auditLogConfigs.logType", each.log_type or 0, _LOG_TYPES)
    return config.model_dump(by_alias=True, exclude_none=True)


def _exists(call: Call, resource: Resource) -> bool:
    try:
        call.context.seams.index.access.get_policy(resource)
    except NotFound:
        return False
    return True


def _resource(call: Call) -> Resource:
    if len(call.ids) == 1:
        return call.ids[0]
    return call.dataset if len(call.ids) == 3 else call.dicom_store


def _spellings(call: Call) -> tuple[str, ...]:
    """The names of the resource that a body may have; a project is named by its id alone (Resource Manager v1)."""
    resource = str(_resource(call))
    return (resource, f"projects/{resource}") if len(call.ids) == 1 else (resource,)


def _read_etag(text: str) -> str:
    """As ``etag_of`` writes it. In proto3 JSON bytes may be in either alphabet of base64, with padding or without;
    gcloud reads the standard one and writes the URL-safe one. Raises InvalidArgument."""
    standard = text.translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return base64.b64encode(base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)).decode()
    except ValueError:
        raise invalid_field("policy.etag", f"{text[:50]!r} is not base64") from None


def _roles(call: Call) -> Roles:
    access = call.context.access
    return access.roles if access is not None else Roles()


def _binding(body: BindingBody) -> Binding:
    condition = body.condition
    if condition is None:
        return Binding(body.role, tuple(body.members or ()))
    if not condition.title:
        raise InvalidArgument("policy: a condition needs a title")
    parts = condition.title, condition.description or "", condition.location or ""
    return Binding(body.role, tuple(body.members or ()), Condition(condition.expression, *parts))


def _answer(text: str) -> Json:
    return Policy.from_text(text).to_json() | {"etag": etag_of(text)}
