"""Rules for the buckets that operations may read and write. Without rules every bucket is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from gantry.errors import InvalidArgument, PermissionDenied
from gantry.seams import BucketUse
from gantry.storage.uris import address_of_bucket

_RIGHTS = {"read": "storage.objects.get and storage.objects.list", "write": "storage.objects.create"}


@dataclass(frozen=True, slots=True)
class BucketRule:
    """``name`` is the name of a bucket of ``gs://``, or the address of any bucket; it may hold ``*`` and ``?``. Keys
    must begin with ``prefix``; ``datasets`` are full names, () for all."""

    name: str
    read: bool = False
    write: bool = False
    prefix: str = ""
    datasets: tuple[str, ...] = ()

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> BucketRule:
        """Read a rule of the settings. Raises InvalidArgument, which names the fault."""
        known = {"name": str, "read": bool, "write": bool, "prefix": str, "datasets": list}
        if not isinstance(value, Mapping) or not value.get("name"):
            raise InvalidArgument("bucket_rules: each needs the name of a bucket")
        for key, item in value.items():
            if key not in known or not isinstance(item, known[key]):
                raise InvalidArgument(f"bucket_rules: {key} = {item!r} of {value['name']!r} is not understood")
        if not (value.get("read") or value.get("write")):
            raise InvalidArgument(f"bucket_rules: {value['name']!r} needs read = true or write = true")
        return cls(**{**value, "datasets": tuple(value.get("datasets", ()))})

    def names(self, bucket: str) -> bool:
        """Whether the rule is about the bucket of this address."""
        return fnmatchcase(bucket, address_of_bucket(self.name))

    def covers(self, use: BucketUse) -> bool:
        return (
            getattr(self, use.right)
            and self.names(use.bucket)
            and use.prefix.startswith(self.prefix)
            and (not self.datasets or use.dataset in self.datasets)
        )


def may_use(rules: Sequence[BucketRule], bucket: str, right: str, dataset: str) -> bool:
    """Whether a dataset may read or write anything of a bucket."""
    return not rules or any(
        getattr(rule, right) and rule.names(bucket) and (not rule.datasets or dataset in rule.datasets)
        for rule in rules
    )


def require_access(rules: Sequence[BucketRule], use: BucketUse) -> None:
    """Raises PermissionDenied, which names the missing right, unless a rule allows the use or there are no rules."""
    if rules and not any(rule.covers(use) for rule in rules):
        raise PermissionDenied(
            f"this server does not have {_RIGHTS[use.right]} access to {use.bucket}/{use.prefix} for "
            f"{use.dataset}; no rule of its setting bucket_rules gives {use.right} there"
        )
