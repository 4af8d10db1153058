"""One call of a DICOMweb service: what handlers get and give. Bodies are streams in both directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gantry.api.accept import MediaRange, Offer, choose, parse_accept
from gantry.api.call import Context
from gantry.errors import NotAcceptable
from gantry.names import DicomStoreName, ResourcePath, url_path


@dataclass(frozen=True, slots=True)
class WebCall:
    """``ids`` are the variable parts of the path. ``read`` gives the next piece of the body, at its end b""."""

    context: Context
    version: str
    ids: tuple[str, ...]
    parameters: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    accept: Sequence[str]
    read: Callable[[], bytes]

    @property
    def dicom_store(self) -> DicomStoreName:
        return DicomStoreName(*self.ids[:4])

    @property
    def path(self) -> ResourcePath:
        """The UIDs of the address."""
        return ResourcePath(*self.ids[4:7]) if len(self.ids) > 4 else ResourcePath("")

    @property
    def web_url(self) -> str:
        """The address of the store's ``dicomWeb``, from the configured base: what ``Host`` says may be wrong."""
        return f"{self.context.public_url}/{self.version}/{url_path(self.dicom_store)}/dicomWeb"

    def accepted(self) -> list[MediaRange]:
        """The query parameter ``accept`` goes before the header (PS3.18 §8.3.3.1). Raises InvalidArgument."""
        asked = [value for name, value in self.parameters if name == "accept"]
        return parse_accept(asked or self.accept)

    def negotiate(self, offers: Sequence[Offer]) -> tuple[Offer, str]:
        """The offer to answer with, and the transfer syntax. Raises NotAcceptable."""
        found = choose(self.accepted(), offers)
        if found is None:
            raise NotAcceptable(
                f"none of what Accept asks for can be made: {', '.join(self.accept)[:300]}. "
                f"This resource comes as {'; '.join(_described(offer) for offer in offers)}"
            )
        return found


def _described(offer: Offer) -> str:
    text = f'multipart/related; type="{offer.type}"' if offer.multipart else offer.type
    if offer.transfer_syntaxes:
        text += f" (transfer-syntax {', '.join(offer.transfer_syntaxes)})"
    return text


@dataclass(frozen=True, slots=True)
class Answer:
    """``body`` is all of it, or an iterator over its pieces; pieces are made while others are sent."""

    body: bytes | Iterator[bytes]
    content_type: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class WebHandler(NamedTuple):
    """Marks a handler of the method table that reads and writes streams. ``quick`` ones only ask the index."""

    call: Callable[[WebCall], Answer]
    quick: bool = False
