"""The process that turns a file with a row on each line into a Parquet file. It reads what to do as JSON."""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from pathlib import Path

from gantry.storage.warehouse import parquet
from gantry.table_schema import quote_text

_NICENESS = 5
_ROOM = 1024  # bytes more than the longest line
_LEAST = 16 << 20
_GROUP = 8192
"""Rows that the writer holds."""


def main() -> None:
    os.nice(_NICENESS)
    request = json.load(sys.stdin.buffer)
    source, target = Path(request["source"]), Path(request["target"])
    types = (f"{quote_text(name)}: {quote_text(kind)}" for name, kind in request["columns"].items())
    options = f"columns={{{', '.join(types)}}}, format='newline_delimited'"
    size = max(_LEAST, request["longest"] + _ROOM)
    read = f"FROM read_json({quote_text(str(source))}, {options}, maximum_object_size={size})"
    form = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_GROUP}, USE_TMP_FILE false"
    with closing(parquet.connect(target.parent)) as connection:
        parquet.run(connection, f"COPY ({read}) TO {quote_text(str(target))} ({form})")


if __name__ == "__main__":
    main()
