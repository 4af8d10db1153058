"""The client of Ray, in a process of its own (``python -m gantry.engines.ray_client``) that is killed when it hangs: it
blocks, has threads that never end, is there once in a process, prints, and forks badly. It reads questions from its
standard input and ends with that."""

from __future__ import annotations

import logging
import os
import pickle
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from functools import cache, partial
from typing import Any, BinaryIO

import ray
from ray import cloudpickle
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from gantry.engines import ray_actor
from gantry.engines.frames import pack, read
from gantry.engines.links import Away, Lost
from gantry.engines.ray_process import PREFIX

_NAMESPACE = "gantry"
_THREADS = 32  # questions that block: lists of actors, and handles of new ones
_BEGIN_SECONDS = 30.0  # for an actor to begin; Ray starts a process for it
_MOST_CALLS = 10_000  # of all servers to one actor: each waits without a thread
_NO_REPLY = Away("the connection is lost")


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what Ray prints
    say = partial(_say, answers, threading.Lock())
    threads = ThreadPoolExecutor(_THREADS)
    while (message := read(sys.stdin.buffer)) is not None:
        number, name, values = pickle.loads(message)  # noqa: S301 - of the process that has started this one
        threads.submit(_answer, partial(say, number), _QUESTIONS[name], values)
    os._exit(0)  # whatever hangs


def _say(answers: BinaryIO, lock: threading.Lock, number: int, value: Any) -> None:
    data = pack(pickle.dumps((number, value)))
    with lock:
        answers.write(data)
        answers.flush()


def _answer(say: Callable[[Any], None], question: Callable[..., Any], values: Sequence[Any]) -> None:
    try:
        found = question(*values)
    except BaseException as error:
        return say(_explain(error))
    if isinstance(found, Future):
        return found.add_done_callback(lambda done: say(_take(done)))
    return say(found)


def _take(done: Future[Any]) -> Any:
    error = done.exception()
    return done.result() if error is None else _explain(error)


def _explain(error: BaseException) -> Exception:
    """What became of a question, in the words of ``links``."""
    if isinstance(error, Away | Lost):
        return error
    return Lost() if isinstance(error, RayError) else _NO_REPLY


def connect(host: str, port: int) -> None:
    """Raises Away."""
    logging.disable(logging.CRITICAL)
    try:
        ray.init(f"ray://{host}:{port}", namespace=_NAMESPACE, log_to_driver=False)
    except RuntimeError as error:
        is_other = "version" in str(error).lower()
        raise Away("it has another version of Ray or Python" if is_other else "it does not answer") from None
    except Exception:
        raise Away("it does not answer") from None


def list_workers() -> list[str]:
    return [name for name in ray.util.list_named_actors() if name.startswith(PREFIX)]


def ask(name: str, request: bytes, seconds: float) -> Future[bytes] | None:
    """None where it is no actor of Gantry's. Raises Lost."""
    try:
        method = _find(name).ask
    except ValueError:
        raise Lost from None
    except AttributeError:
        return None
    future: Future[bytes] = method.remote(request, seconds).future()
    return future


@cache
def _find(name: str) -> Any:
    """Names never repeat."""
    return ray.get_actor(name)


def join(host: str, name: str, path: str) -> str:
    """Start the actor of a worker on the node of this machine; the node's address. Raises Away."""
    cloudpickle.register_pickle_by_value(ray_actor)
    for node in ray.nodes():
        if node["Alive"] and _is_here(node, host) and _begin(node["NodeID"], name, path):
            return str(node["NodeManagerAddress"])
    raise Away("none of its nodes is on this machine; start one with `ray start`, as the same user")


def _begin(node: str, name: str, path: str) -> bool:
    options = {"name": name, "lifetime": "detached", "num_cpus": 0, "max_concurrency": _MOST_CALLS}
    place = NodeAffinitySchedulingStrategy(node, soft=False)
    actor = ray.remote(ray_actor.WorkerActor).options(**options, scheduling_strategy=place).remote(name, path)
    try:
        return bool(ray.get(actor.is_there.remote(), timeout=_BEGIN_SECONDS))
    except GetTimeoutError:
        raise Away("its node starts no process for an actor") from None
    except RayError:
        return False


def _is_here(node: dict[str, Any], host: str) -> bool:
    return node["NodeManagerHostname"] == socket.gethostname() or bool(node["NodeManagerAddress"] == _find_own(host))


@cache
def _find_own(host: str) -> str:
    """The address of this machine towards another one; nothing is sent."""
    with suppress(OSError):
        family, kind, _, _, address = socket.getaddrinfo(host.strip("[]"), 1, type=socket.SOCK_DGRAM)[0]
        with closing(socket.socket(family, kind)) as found:
            found.connect(address)
            return str(found.getsockname()[0])
    return ""


_QUESTIONS: dict[str, Callable[..., Any]] = {each.__name__: each for each in (connect, list_workers, ask, join)}

if __name__ == "__main__":
    main()
