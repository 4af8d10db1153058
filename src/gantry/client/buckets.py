"""``gantry buckets``: the buckets of these settings, and what their server can do with one, tried on this machine."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import replace

from gantry.checking.bucket_rights import Trial, try_rights
from gantry.client.messages import describe_error, translate_message
from gantry.client.terminal import note, print_error, printable, say, table
from gantry.config import make_buckets
from gantry.errors import NotFound, Unavailable
from gantry.languages import N_, _
from gantry.settings.loading import Settings, load_settings
from gantry.storage.bucket_rules import BucketRule
from gantry.storage.remote_buckets import find_remote, list_remote
from gantry.storage.uris import address_of_bucket, parse_prefix

WORKS, FAILS = 0, 1  # exit codes
_WORDS = {True: N_("yes"), False: N_("no"), None: N_("not tried")}
_RIGHTS = (N_("list"), N_("read"), N_("write"), N_("read back"), N_("write once"), N_("delete"))
"""What ``_`` finds by the name of a right."""


def list_(args: argparse.Namespace) -> int:
    """Print the buckets that the settings name, and what they are. Which other ones a provider has the server does not
    ask. Raises InvalidArgument."""
    settings = _load(args)
    buckets = replace(make_buckets(settings), rules=())
    if not settings.buckets_path.is_dir():
        problem = _("{path}: there is no such directory; a server makes it when it starts")
        raise NotFound(problem.format(path=settings.buckets_path))
    found = [(each, _(buckets.kind_of(each).value)) for each in buckets.list("", "read")]
    several = _("buckets that an entry of remote_buckets names")
    found += [(address_of_bucket(each), several) for each in _list_patterns(settings)]
    rules = {address: _describe_rules(settings.bucket_rules, address) for address, _ in found}
    if args.json:
        print(json.dumps([{"bucket": each, "kind": kind, "rules": rules[each]} for each, kind in found], indent=2))
    elif not found:
        text = _("no buckets: {path} is empty, and remote_buckets names none")
        note(text.format(path=settings.buckets_path))
    else:
        table((_("BUCKET"), _("WHAT IT IS"), _("RULES")), [(*each, "; ".join(rules[each[0]])) for each in found])
    return WORKS


def _list_patterns(settings: Settings) -> list[str]:
    """Names of entries that are for many buckets: which of these there are only the provider knows."""
    single = list_remote(settings.remote_buckets)
    return [each.name for each in settings.remote_buckets if address_of_bucket(each.name) not in single]


def check_bucket(args: argparse.Namespace) -> int:
    """Print what can be listed, read and written, and what the rules allow. Raises InvalidArgument, PermissionDenied,
    and NotFound where there is no such bucket."""
    settings = _load(args)
    asked = parse_prefix(address_of_bucket(args.bucket))
    buckets = make_buckets(settings)
    try:
        bucket = buckets.reach(asked.bucket, "check")
    except Unavailable as error:  # nobody can say whether it is there
        print_error(describe_error(error))
        return FAILS
    own, place = settings.own_bucket, find_remote(settings.remote_buckets, asked.bucket)
    holds_blobs = own is not None and place is not None and own.overlaps(place, asked.key)
    trials = list(try_rights(bucket, asked.key, args.write, holds_blobs))
    rules = _describe_rules(settings.bucket_rules, asked.bucket)
    if args.json:
        found = {"bucket": asked.bucket, "trials": [each._asdict() for each in trials], "rules": rules}
        print(json.dumps(found, indent=2))
    else:
        kind = _(buckets.kind_of(asked.bucket).value)
        _print(_("{bucket} is {kind}").format(bucket=asked.bucket, kind=kind), trials, rules)
        if not args.write:
            note(_("writing was not tried; --write tries it with a small object"))
    return FAILS if any(trial.works is False and trial.is_needed for trial in trials) else WORKS


def _load(args: argparse.Namespace) -> Settings:
    flags = {name: value for name in ("data", "buckets") if (value := getattr(args, name))}
    return load_settings(flags, os.environ, args.config or os.environ.get("GANTRY_CONFIG", ""))


def _print(headline: str, trials: Sequence[Trial], rules: Sequence[str]) -> None:
    say(printable(headline))
    width = max(10, *(len(_(trial.right)) for trial in trials))
    for trial in trials:
        say(printable(f"  {_(trial.right):<{width}} {_(_WORDS[trial.works]):<10} {translate_message(trial.detail)}"))
    for rule in rules:
        say(printable(f"  {rule}"))


def _describe_rules(rules: Sequence[BucketRule], bucket: str) -> list[str]:
    """What operations may do: a right of the server is of no use to them where no rule gives it."""
    if not rules:
        return []
    found = []
    for right, some, nobody in (
        ("read", _("bucket_rules: {who} may read"), _("bucket_rules: no dataset may read")),
        ("write", _("bucket_rules: {who} may write"), _("bucket_rules: no dataset may write")),
    ):
        giving = [rule for rule in rules if getattr(rule, right) and rule.names(bucket)]
        found += [some.format(who=_describe_rule(rule, bucket)) for rule in giving]
        if not giving:
            found.append(nobody)
    return found


def _describe_rule(rule: BucketRule, bucket: str) -> str:
    who = ", ".join(rule.datasets) or _("every dataset")
    return _("below {place} {who}").format(place=f"{bucket}/{rule.prefix}", who=who) if rule.prefix else who
