"""All tables of the index, in ``metadata``."""

from __future__ import annotations

from gantry.index import access_tables, delivery_table, tables  # noqa: F401 - they enter themselves
from gantry.index.columns import metadata as metadata
