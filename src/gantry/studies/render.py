"""Rendering of instances, and the instance that represents a series or a study (PS3.18 §10.4)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from heapq import nsmallest

from gantry.dicom.forms import video_types
from gantry.dicom.views import MAX_VIEW_SIDE, View, Viewport
from gantry.errors import NotFound
from gantry.names import DicomStoreName, ResourcePath
from gantry.resources import StoredInstance
from gantry.seams import Seams
from gantry.studies.annotations import KINDS, read_annotations
from gantry.studies.pixel_work import render_blob, stream_frames

_LOOKED_AT = 1000  # instances of a study: a thumbnail must be fast
_MOST_TRIED = 5
"""Instances: one whose pixels cannot be decoded may cost a worker."""

__all__ = ["KINDS", "MAX_VIEW_SIDE", "View", "Viewport", "list_representatives", "render_images"]


def render_images(
    seams: Seams, store: DicomStoreName, row: StoredInstance, view: View, wanted: Sequence[int] | None
) -> Generator[bytes, None, None]:
    """Frames by numbers from 0, or all, as JPEG or PNG; a few megabytes in memory. Raises only StatusError."""
    if view.annotations:
        view = replace(view, texts=read_annotations(seams, store, row, view.annotations))
    return stream_frames(seams, store, row, render_blob, wanted, view=view)


def list_representatives(seams: Seams, store: DicomStoreName, path: ResourcePath) -> list[tuple[StoredInstance, int]]:
    """Instances that stand for a study or series, the best first, each with the number of its middle frame, from 0.

    The best is the one in the middle of the first series with images; then come those in the middle of other series,
    and their neighbours, up to _MOST_TRIED. Only the first _LOOKED_AT instances are read. Raises NotFound where none of
    them is an image.
    """
    series: dict[str, list[StoredInstance]] = {}
    for number, row in enumerate(seams.index.instances.list_below(store, path)):
        if number >= _LOOKED_AT:
            break
        if row.rows and row.columns and not video_types(row.transfer_syntax_uid):
            series.setdefault(row.series_instance_uid, []).append(row)
    if not series:
        raise NotFound(f"{path} has no image")
    ranked = [
        (abs(place - len(rows) // 2), order, row)
        for order, rows in enumerate(series.values())
        for place, row in enumerate(sorted(rows, key=lambda row: row.instance_number or 0))
    ]
    nearest = nsmallest(_MOST_TRIED, ranked, key=lambda one: one[:2])
    return [(row, _find_middle(row)) for _, _, row in nearest]


def _find_middle(row: StoredInstance) -> int:
    frames = row.number_of_frames or 1
    return frames // 2 if frames > 1 else 0
