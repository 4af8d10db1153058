"""The process of one query. It reads a request as a line of JSON, and writes lines: ``{…}`` with the columns, then for
each batch the number of its rows, a blank, and their JSON, and ``{…}`` with the end or an error.

It ends when its input does: with the server, however that ends.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
import threading
from collections.abc import Mapping
from typing import Any, BinaryIO

from gantry.errors import Internal, StatusError
from gantry.query_seams import Field
from gantry.storage.sql.limits import QueryLimits

NICENESS = 5
_FILES = 4096
_FAILED = "the query failed; the server's log has the details"
_ROOM = 3 << 30  # bytes of addresses: libraries, stacks and arenas of threads, which are no memory yet


def main() -> None:
    os.nice(NICENESS)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(message)s")
    out = sys.stdout.buffer
    from gantry.storage.sql import running  # slow to load, so that it is done before there is a request

    line = sys.stdin.buffer.readline()
    if not line:
        return
    request = json.loads(line)
    threading.Thread(target=_wait_for_end, daemon=True).start()
    try:
        limits = QueryLimits(**request["limits"])
        _restrict(limits)
        _run(running, request, limits, out)
    except StatusError as error:
        _say(out, {"error": {"code": error.code.name, "what": error.what, "advice": error.advice}})
    except MemoryError:
        os._exit(1)
    except Exception:
        logging.exception("a query failed")
        _say(out, {"error": {"code": Internal.code.name, "what": _FAILED, "advice": ""}})
    os._exit(0)  # threads of DuckDB are not waited for


def _wait_for_end() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def _restrict(limits: QueryLimits) -> None:
    """What the system counts, whatever the libraries do."""
    _limit(resource.RLIMIT_AS, (limits.megabytes << 20) * 2 + _ROOM)
    _limit(resource.RLIMIT_CPU, limits.seconds * limits.threads + 5)
    _limit(resource.RLIMIT_FSIZE, limits.spill_megabytes << 20)
    _limit(resource.RLIMIT_NOFILE, _FILES)
    _limit(resource.RLIMIT_CORE, 0)


def _limit(which: int, most: int) -> None:
    hard = resource.getrlimit(which)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(which, (most, most))


def _run(running: Any, request: Mapping[str, Any], limits: QueryLimits, out: BinaryIO) -> None:
    prepared = running.Prepared(request, limits, request["spills"])
    tables = [[*table.info.address] for table in prepared.tables]
    size = sum(table.info.size for table in prepared.tables)
    _say(out, {"fields": [_dump(each) for each in prepared.fields], "tables": tables, "bytes": size})
    if not request["dry"]:
        for batch in prepared.read():
            out.write(b"%d " % batch.count + batch.text + b"\n")
            out.flush()
    _say(out, {"end": True})


def _dump(field: Field) -> list[Any]:
    return [field.name, field.type, field.mode, [_dump(each) for each in field.fields]]


def _say(out: BinaryIO, value: Mapping[str, Any]) -> None:
    out.write(json.dumps(value).encode() + b"\n")
    out.flush()


if __name__ == "__main__":
    main()
