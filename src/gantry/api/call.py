"""One call of an API method, as its handler gets it, and the server's parts that handlers use."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from starlette.datastructures import Headers
from starlette.requests import Request

from gantry.api.accept import Choice, MediaRange, Offer, choose, parse_accept, rank
from gantry.api.access import ANYBODY, Access, Caller
from gantry.api.body import Body
from gantry.api.bucket_checks import BucketChecks
from gantry.api.forwarded import Proxies
from gantry.api.intake import Pace
from gantry.api.looking import Look
from gantry.api.news import NotYet, Unfinished
from gantry.api.origins import Origins
from gantry.api.parameters import Pair, by_name, drop_system
from gantry.api.server_facts import ServerFacts
from gantry.errors import Code, NotAcceptable, Unimplemented
from gantry.iam.policies import Principal
from gantry.names import DatasetName, DicomStoreName, LocationName, OperationName, ResourcePath, url_path
from gantry.querying.runner import QueryJobs
from gantry.resources import Waiting
from gantry.seams import Seams
from gantry.studies.frames import FramePlaces
from gantry.studies.metadata import MetadataCache
from gantry.studies.uploads import Uploads

_BLANK_INSIDE = re.compile(r"(?<=\w) (?=\w)")  # of a media type, which has none (RFC 9110 §8.3.1)


class MethodInfo(Protocol):
    """What the audit log needs to know about a method; ``ApiMethod`` has it."""

    @property
    def id(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def permission(self) -> str: ...


class AuditSink(Protocol):
    """Takes one line of the audit log per call, two where lines are required; ``Audit`` says what methods do."""

    def begin(
        self, request: Request, version: str, method: MethodInfo, ids: Sequence[str], who: Caller | Principal
    ) -> str: ...

    def record(
        self,
        request: Request,
        version: str,
        method: MethodInfo,
        ids: Sequence[str],
        who: Caller | Principal,
        code: Code,
        call: str = "",
    ) -> None: ...

    @property
    def is_required(self) -> bool:
        """Whether calls are refused while no line can be written."""
        ...

    def describe_loss(self) -> str:
        """Why no line can be written now, in one sentence without a full stop; "" where it can."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of the server that handlers use.

    ``notify`` reports a new operation to the runner, ``sweep`` reports blobs that can be removed;
    ``waiting`` says what the operation of a number waits for. ``locations`` are the
    ids of the locations that are served. ``uploads`` writes stored instances, ``remembered`` holds answers that are
    expensive to compute, ``frame_places`` the positions of frames. ``strict_search`` is a setting. ``viewer`` is the
    directory of the installed viewer. ``access`` is None if callers are not authenticated, ``audit`` if no audit log is
    written. ``most_operations`` of a project may run at a time, 0 for any number. ``pace`` is how fast clients must
    send a body; ``proxies`` are trusted to name their clients. ``accept_without_effect`` names the fields that are kept
    although nothing is done with them. Pages of ``allowed_origins`` may use the API from a browser. ``looks`` are what
    ``/readyz`` looks at, by part. Where the server ``is_stopping``, nobody waits. An emulator answers to
    ``any_name``. ``jobs`` are queries and their results. ``facts`` are for pages of administrators,
    ``bucket_checks`` are what was found out of buckets.
    """

    seams: Seams
    notify: Callable[[], None]
    uploads: Uploads
    locations: tuple[str, ...]
    public_url: str
    strict_search: bool = False
    viewer: Path | None = None
    remembered: MetadataCache = field(default_factory=MetadataCache)
    frame_places: FramePlaces = field(default_factory=FramePlaces)
    access: Access | None = None
    audit: AuditSink | None = None
    most_operations: int = 0
    pace: Pace = field(default_factory=Pace)
    proxies: Proxies = field(default_factory=Proxies)
    accept_without_effect: tuple[str, ...] = ()
    sweep: Callable[[], None] = lambda: None
    waiting: Callable[[int], Waiting | None] = lambda number: None
    allowed_origins: tuple[str, ...] = ()
    looks: Mapping[str, Look] = field(default_factory=dict)
    is_stopping: Callable[[], bool] = lambda: False
    any_name: bool = False
    jobs: QueryJobs | None = None
    facts: ServerFacts = field(default_factory=ServerFacts)
    bucket_checks: BucketChecks = field(default_factory=BucketChecks)

    @property
    def origins(self) -> Origins:
        return _make_origins(self.public_url, self.allowed_origins, self.any_name)

    def public_url_for(self, headers: Headers) -> str:
        """Base of the addresses in an answer: where the caller found the server, if that is an allowed one (the header
        ``Host`` may be wrong); that of an emulator is anywhere."""
        return self.origins.choose_base(headers.get("host", ""))


_make_origins = cache(Origins)


@dataclass(frozen=True, slots=True)
class Call:
    """``ids`` are the variable parts of the path in order; ``pairs`` are the query parameters as they were sent.

    ``content`` is the body: a stream, or read as JSON once.
    """

    context: Context
    version: str
    ids: tuple[str, ...]
    pairs: Sequence[Pair] = ()
    headers: Headers = field(default_factory=Headers)
    content: Body = field(default_factory=Body)
    caller: Caller = ANYBODY

    @property
    def query(self) -> dict[str, str]:
        """Parameters by camelCase name; the first of several counts."""
        return by_name(self.pairs)

    @property
    def parameters(self) -> Sequence[Pair]:
        """Parameters in their order, without the system parameters (see ``parameters.SYSTEM``)."""
        return drop_system(self.pairs)

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object in the body, ``{}`` for an empty one. Raises InvalidArgument."""
        return self.content.json_object()

    @property
    def location(self) -> LocationName:
        return LocationName(*self.ids[:2])

    @property
    def dataset(self) -> DatasetName:
        return DatasetName(*self.ids[:3])

    @property
    def dicom_store(self) -> DicomStoreName:
        return DicomStoreName(*self.ids[:4])

    @property
    def jobs(self) -> QueryJobs:
        """Raises Unimplemented where there are none."""
        if self.context.jobs is None:
            raise Unimplemented("this server runs no queries")
        return self.context.jobs

    @property
    def operation(self) -> OperationName:
        return OperationName.parse(self.dataset, self.ids[3])

    @property
    def path(self) -> ResourcePath:
        """The UIDs in the path."""
        return ResourcePath(*self.ids[4:7]) if len(self.ids) > 4 else ResourcePath("")

    @property
    def public_url(self) -> str:
        return self.context.public_url_for(self.headers)

    @property
    def web_url(self) -> str:
        """The address of the store's ``dicomWeb``."""
        return f"{self.public_url}/{self.version}/{url_path(self.dicom_store)}/dicomWeb"

    def accepted(self, offers: Sequence[Offer] = ()) -> list[MediaRange]:
        """What the query parameter ``accept`` names, else what the header does (PS3.18 §8.3.3.1).

        If none of the ``offers`` is in the query, the header counts, if there is one (§8.7.8.1). Raises
        InvalidArgument.
        """
        in_header = self.headers.getlist("accept")
        if self._asked_for:
            asked = parse_accept(self._asked_for)
            forbids_none = [replace(item, q=1.0) for item in asked]  # what is forbidden is named, too
            if not offers or not in_header or choose(forbids_none, offers):
                return asked
        return parse_accept(in_header)

    @property
    def _asked_for(self) -> list[str]:
        """A ``+`` of a query means a blank, but who writes ``accept=application/dicom+json`` means a ``+``."""
        return [_BLANK_INSIDE.sub("+", value) for name, value in self.pairs if name == "accept"]

    def negotiate(self, offers: Sequence[Offer]) -> Choice:
        """The offer to answer with, and the transfer syntax. Raises NotAcceptable."""
        return self.rank(offers)[0]

    def rank(self, offers: Sequence[Offer], stored: Sequence[str] = ()) -> list[Choice]:
        """All acceptable offers, the preferred first, as ``accept.rank``. Raises NotAcceptable if there is none."""
        choices = rank(self.accepted(offers), offers, stored)
        if not choices:
            asked = ", ".join((*self._asked_for, *self.headers.getlist("accept")))
            raise NotAcceptable(
                f"none of what Accept asks for can be made: {asked[:300]}. "
                f"This resource comes as {'; '.join(_describe(offer) for offer in offers)}"
            )
        return choices


def _describe(offer: Offer) -> str:
    text = f'multipart/related; type="{offer.type}"' if offer.multipart else offer.type
    if offer.transfer_syntaxes:
        text += f" (transfer-syntax {', '.join(offer.transfer_syntaxes)})"
    return text


Handler = Callable[[Call], dict[str, Any] | NotYet | Unfinished]
