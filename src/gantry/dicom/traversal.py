"""All elements of a data set at every depth, one step after the other. Nothing calls itself: no depth is too much."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from gantry.dicom.elements import DataSet, Element, Item, is_sequence
from gantry.dicom.tags import BITS_ALLOCATED, PIXEL_REPRESENTATION

CONTEXT_OF_VALUES = frozenset((PIXEL_REPRESENTATION, BITS_ALLOCATED))
"""What later elements of the same data set depend on."""


class Kind(Enum):
    VALUE, SEQUENCE, ITEM, ITEM_END, SEQUENCE_END = range(5)


class Step(NamedTuple):
    """What stands at a place. ``element`` is a value, or the sequence that begins, ends, or that the item is in.

    ``vr`` as ``DataSet.resolve_vr`` gives it; ``bits`` is the BitsAllocated that goes before it in its data set or
    item, 0 without. ``is_open``: a sequence or item has no defined length.
    """

    kind: Kind
    element: Element
    vr: str
    bits: int = 0
    is_open: bool = False


class Scope(NamedTuple):
    """A data set or item that is being read up to ``end``, with what the elements before a place say of those behind.

    ``signed`` is PixelRepresentation, -1 for unknown; ``bits`` is BitsAllocated, 0 for unknown. Of two elements with
    one tag the first counts. ``has_signed``: PixelRepresentation is its own, and not that of what is around.
    """

    data_set: DataSet
    end: int
    signed: int = -1
    bits: int = 0
    has_signed: bool = False

    def after(self, element: Element) -> Scope:
        """What is known behind an element: nearly always the same."""
        if element.tag == PIXEL_REPRESENTATION and not self.has_signed:
            return self._replace(signed=self.data_set.read_signed(element), has_signed=True)
        if element.tag == BITS_ALLOCATED and not self.bits:
            return self._replace(bits=max(0, self.data_set.read_number(element)))
        return self

    def resolve_vr(self, element: Element) -> str:
        return self.data_set.resolve_vr(element, self.signed, self.end)


def read_steps(data_set: DataSet, elements: Iterator[Element], scope: Scope) -> Iterator[Step]:
    """The steps of ``elements``, which are of ``scope``, and of what is in them.

    Raises InvalidArgument for a sequence whose items cannot be told apart.
    """
    open_items: list[tuple[Iterator[Element], Scope, Iterator[Item], Step]] = []
    while True:
        element = next(elements, None)
        if element is not None:
            vr = scope.resolve_vr(element)
            scope = scope.after(element)
            if not is_sequence(element, vr):
                yield Step(Kind.VALUE, element, vr, scope.bits)
                continue
            step = Step(Kind.SEQUENCE, element, "SQ", is_open=element.undefined_length)
            yield step
            items = data_set.read_items(element)
        elif open_items:
            elements, scope, items, step = open_items.pop()
            yield step._replace(kind=Kind.ITEM_END)
        else:
            return
        item = next(items, None)
        if item is None:
            yield Step(Kind.SEQUENCE_END, step.element, "SQ", is_open=step.element.undefined_length)
            continue
        step = Step(Kind.ITEM, step.element, "SQ", is_open=item.is_open)
        yield step
        open_items.append((elements, scope, items, step))
        elements, scope = item.elements(), Scope(data_set, step.element.stop, scope.signed)
