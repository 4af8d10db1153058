"""Faults on request: rules that say which requests fail, how, and how often."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from hashlib import blake2b
from time import time
from typing import Any

from tests.support.s3.errors import STATUS, S3Error
from tests.support.s3.listing import KEY, Page
from tests.support.s3.messages import Request
from tests.support.s3.operations import OPERATIONS
from tests.support.s3.store import write_time

ERROR = re.compile(r"(200|[345]\d\d) (\w+)")
SENDING = ("reset in body", "closed in body", "short body", "wrong bit", "stall in body")
OF_PAGES = ("page repeated", "key missing", "unsorted", "start-after ignored", "token missing")
OF_ENTRIES = ("key missing", "delete partly", "delete locked", "delete in silence")
"""Kinds of which every key in the request or the answer is one case."""
SPARING = {"delete partly": "InternalError", "delete locked": "AccessDenied", "delete in silence": ""}
"""The code of each key that DeleteObjects keeps; none where it says nothing of it."""
WRITES = ("PutObject", "CopyObject", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload")
DELETIONS = ("DeleteObject", "DeleteObjects")
KINDS = ("reset before", "reset after", "stall", *SENDING, *OF_PAGES, *SPARING)
REGION = "eu-north-1"
"""That of the bucket, where a rule says that it is not the one that requests are signed for."""
SECONDS = {"429 TooManyRequests": 1.0, "403 RequestTimeTooSkewed": 3600.0, "stall": 5.0, "stall in body": 5.0}


def _choose_methods(kind: str) -> tuple[str, ...]:
    """The operations that a kind is for, where the rule names none; nothing for all."""
    if kind in OF_PAGES:
        return ("ListObjectsV2",)
    if kind in SENDING:
        return ("GetObject",)
    own: dict[str, tuple[str, ...]] = dict.fromkeys(SPARING, ("DeleteObjects",))
    own |= {"reset after": WRITES + DELETIONS}
    own |= {"404 NoSuchKey": ("GetObject", "HeadObject"), "403 InvalidObjectState": ("GetObject",)}
    return own.get(kind, ())


@dataclass
class Rule:
    """``methods`` are of HTTP or names of operations. Of the cases that match, the first ``after`` pass, and of the
    rest ``times`` at most fail, of one operation on one key the first ``each``, and of these only a ``share``."""

    kind: str
    keys: re.Pattern[bytes] | None
    methods: tuple[str, ...]
    times: int | None
    each: int | None
    after: int
    share: float
    seed: int
    seconds: float
    met: int = 0
    failed: int = 0
    seen: Counter[tuple[str, bytes]] = field(default_factory=Counter)

    def concerns(self, request: Request) -> bool:
        """Whether the request is to fail, or some of the keys in it."""
        if self.methods and request.operation not in self.methods and request.method not in self.methods:
            return False
        if self.kind == "start-after ignored" and "start-after" not in request.query:
            return False
        if self.kind in OF_ENTRIES:
            return True
        return self.take(request.operation, request.key or request.read_query("prefix"))

    def take(self, operation: str, key: bytes) -> bool:
        """Whether this case is to fail; it is counted then."""
        if self.times is not None and self.failed >= self.times:
            return False
        if self.keys is not None and not self.keys.search(key):
            return False
        self.met += 1
        if self.met <= self.after:
            return False
        turn = self.seen[operation, key]
        self.seen[operation, key] += 1
        if (self.each is not None and turn >= self.each) or self._draw(operation, key, turn) >= self.share:
            return False
        self.failed += 1
        return True

    def _draw(self, operation: str, key: bytes, turn: int) -> float:
        """From 0 to 1, the same for every run with this seed, in whatever order requests come."""
        if self.share >= 1:
            return 0.0
        digest = blake2b(b"%d %b %d %b" % (self.seed, operation.encode(), turn, key), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64

    def make_error(self) -> tuple[S3Error, dict[str, str]] | None:
        """The error that is answered in place of the operation, with its headers."""
        found = ERROR.fullmatch(self.kind)
        if found is None:
            return None
        error = S3Error(found[2], status=int(found[1]))
        error.status = int(found[1])
        if found[2] == "RequestTimeTooSkewed":
            error.details = {"ServerTime": write_time(time() + self.seconds), "MaxAllowedSkewMilliseconds": "900000"}
            return error, {"Date": formatdate(time() + self.seconds, usegmt=True)}
        if found[2] == "AuthorizationHeaderMalformed":
            error.details = {"Region": REGION}
        if found[2] == "PermanentRedirect":
            return error, {"x-amz-bucket-region": REGION}
        if error.status == 429 or (error.status == 503 and self.seconds):
            return error, {"Retry-After": f"{self.seconds:g}"}
        return error, {}

    def distort_page(self, page: Page, request: Request, make: Callable[[Request], Page]) -> Page:
        if self.kind == "page repeated":
            again = urlsafe_b64encode(KEY + request.read_query("start-after")).decode()
            page.token = request.query.get("continuation-token", again)
        elif self.kind == "key missing":
            page.contents = [entry for entry in page.contents if not self.take(request.operation, entry[0])]
        elif self.kind == "token missing":
            page.has_token = False
        elif self.kind == "unsorted":
            page.contents.reverse()
        elif self.kind == "start-after ignored":
            query = {name: value for name, value in request.query.items() if name != "start-after"}
            return make(replace(request, query=query))
        return page

    def spares(self, key: bytes) -> str | None:
        """The code of the error with which DeleteObjects keeps this key; None where it deletes it."""
        return SPARING[self.kind] if self.kind in SPARING and self.take("DeleteObjects", key) else None


def make_rule(asked: dict[str, Any]) -> Rule:
    """Raises ValueError for an unknown kind or method, a pattern that is none, a share that is no share."""
    kind, methods = asked["kind"], tuple(asked["methods"] or _choose_methods(asked["kind"]))
    error = ERROR.fullmatch(kind)
    if kind not in KINDS and (error is None or error[2] not in STATUS):
        raise ValueError(f"no kind of fault is called {kind!r}; there are {', '.join(KINDS)}, and '503 SlowDown' etc.")
    if unknown := set(methods) - set(OPERATIONS) - {"GET", "HEAD", "PUT", "POST", "DELETE"}:
        raise ValueError(f"no such operation or method: {', '.join(sorted(unknown))}")
    if not 0 <= asked["share"] <= 1:
        raise ValueError(f"share is from 0 to 1, not {asked['share']}")
    try:
        keys = None if asked["keys"] is None else re.compile(asked["keys"].encode())
    except re.error as wrong:
        raise ValueError(f"keys is no regular expression: {wrong}") from wrong
    seconds = SECONDS.get(kind, 0.0) if asked["seconds"] is None else asked["seconds"]
    limits = {name: asked[name] for name in ("times", "each", "after", "share", "seed")}
    return Rule(kind, keys, methods, seconds=seconds, **limits)


@dataclass
class Faults:
    """``rules`` are those that hold, by their numbers; of those that match a request the first counts."""

    rules: dict[int, Rule] = field(default_factory=dict)
    made: list[Rule] = field(default_factory=list)

    def add(self, rule: Rule) -> int:
        self.made.append(rule)
        self.rules[len(self.made)] = rule
        return len(self.made)

    def count(self) -> Counter[str]:
        """The cases that failed so far, by kind."""
        found: Counter[str] = Counter()
        for rule in self.made:
            found[rule.kind] += rule.failed
        return found

    def choose(self, request: Request) -> Rule | None:
        return next((rule for rule in self.rules.values() if rule.concerns(request)), None)
