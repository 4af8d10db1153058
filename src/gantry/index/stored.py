"""The one query that reads stored instances: ``select_stored`` selects the columns of ``StoredInstance``.

``StoredInstance._make(row)`` makes the value.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, select

from gantry.index.blob_keys import BLOB_KEY, join_segments
from gantry.index.tables import instance, series, study
from gantry.resources import StoredInstance

_COLUMNS = [
    study.c.study_instance_uid,
    series.c.series_instance_uid,
    *(BLOB_KEY if name == "blob_key" else instance.c[name] for name in StoredInstance._fields[2:]),
]


def select_stored() -> Select[Any]:
    """Instances with their series and studies; conditions and order are the caller's."""
    query = select(*_COLUMNS).join_from(series, study, study.c.id == series.c.study_id)
    return join_segments(query.join(instance, instance.c.series_id == series.c.id))
