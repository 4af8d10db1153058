"""``gantry worker``: run batches of operations for the servers of a distributed engine."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from gantry.bucket_wiring import require_libraries
from gantry.engine_wiring import FILE, require_engine
from gantry.engines.addresses import RAY, Engine
from gantry.errors import InvalidArgument
from gantry.languages import _
from gantry.settings.loading import Settings, load_settings
from gantry.sizes import format_number

_MOST = 1024  # processes, as for the setting ``workers``


def work(args: argparse.Namespace) -> int:
    """Work until SIGTERM or Ctrl-C. Raises InvalidArgument, FailedPrecondition."""
    file = args.config or os.environ.get(FILE, "")
    settings = load_settings({}, os.environ, file)
    engine = settings.engine
    if engine is None:
        raise InvalidArgument(
            _("executor: names no engine whose worker this could be, as dask://HOST:PORT and ray://HOST:PORT do")
        )
    if args.processes is not None and not 0 < args.processes <= _MOST:
        raise InvalidArgument(_("--processes: is a whole number from 1 to {most}").format(most=format_number(_MOST)))
    require_engine(settings)
    require_libraries(settings.remote_buckets)
    if file:
        os.environ[FILE] = os.path.abspath(file)  # its processes read the credentials of buckets there
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")

    _work(settings, engine, args.processes or _count_cores())
    return 0


def _work(settings: Settings, engine: Engine, size: int) -> None:
    if engine.name == RAY:
        from gantry.engines.ray_worker import work as work_for_ray

        return work_for_ray(engine, size)
    from gantry.engines.dask_worker import Binding, work

    binding = Binding(settings.worker_host, settings.worker_port, settings.worker_contact)
    return work(engine, settings.engine_certificates, size, binding)


def _count_cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
