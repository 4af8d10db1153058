"""What the end of an operation must say: its counters, its error log and what it has done, object by object."""

from __future__ import annotations

import re
import time
from collections.abc import Hashable

from gantry.resources import path_of
from tests.faults.mixed.caller import Caller
from tests.faults.mixed.contents import Content, Uids, find_uids, read_content
from tests.faults.mixed.journal import require
from tests.faults.mixed.started import Started
from tests.faults.mixed.states import Outcome, State
from tests.faults.mixed.verbs import READ
from tests.support.server import Json, counts

_PARTIAL = re.compile(r"\d+ of \d+ failed, \d+ succeeded")
_CANCELLED, _NOT_FOUND, _EXISTS, _ABORTED, _INTERNAL = 1, 5, 6, 10, 13

Failures = dict[str, int]
"""The code of each failure, by the name of its object."""


def look_after(caller: Caller, wait_seconds: float = 0) -> None:
    """Judge the caller's operations that are done. With seconds, wait for all of them."""
    deadline = time.monotonic() + wait_seconds
    while True:
        for started in [item for item in caller.started if item.name]:
            answer = caller.send("GET", f"v1/{started.name}")
            if answer.is_unknown or answer.status == 429:
                continue
            if answer.status == 404:
                require(started.lost_store, f"{started.name} is gone")
                caller.started.remove(started)
                continue
            require(answer.status == 200, f"{started.name}: {answer.status} {answer.text}")
            operation = answer.json()
            caller.check_words(str(operation["metadata"].get("waiting", "")), started.name)
            if operation.get("done") and _judge(caller, started, operation):
                caller.started.remove(started)
        running = [item.name for item in caller.started if item.name]
        if not running or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    require(not (wait_seconds and running), f"not done in {wait_seconds} s: {running}")


def _judge(caller: Caller, started: Started, operation: Json) -> bool:
    """Judge it; False where its error log cannot be read now."""
    failures = _read_failures(caller, started)
    if failures is None:
        return False
    error = operation.get("error", {})
    caller.check_words(str(error), started.name)
    caller.journal.write(
        f"caller {caller.number}", f"{started.kind} {started.name} is done: {counts(operation)} {error}"[:300]
    )
    if started.lost_store:
        return True
    is_whole = not error or bool(_PARTIAL.search(error["message"]))
    if not is_whole:
        _judge_early_end(caller, started, error)
    report = _Report(caller, started, counts(operation), failures, is_whole)
    # One that ended early says how many objects it had counted and not looked at.
    require(not is_whole or "pending" not in operation["metadata"].get("counter", {}), str(operation))
    report.judge()
    return True


def _judge_early_end(caller: Caller, started: Started, error: Json) -> None:
    """It ended as a whole: cancelled, or its bucket had trouble."""
    if started.is_cancelled and error["code"] == _CANCELLED:
        return
    reasons = caller.troubles.during(started.begun, "source", "out")
    require(reasons and started.kind in ("import", "export"), f"{started.kind} {started.name} ends with {error}")
    require(error["code"] != _INTERNAL, f"{started.name}: an error that nobody expected: {error}")


def _read_failures(caller: Caller, started: Started) -> Failures | None:
    found: Failures = {}
    token = ""
    while True:
        answer = caller.send("GET", f"logs/{started.name}?alt=json&pageSize=1000&pageToken={token}")
        if answer.status != 200:
            require(answer.is_unknown or answer.status in (404, 429), f"an error log: {answer.status} {answer.text}")
            return None
        page = answer.json()
        for entry in page.get("entries", []):
            payload = entry["jsonPayload"]
            if entry["severity"] == "ERROR":
                name = payload.get("source") or payload["resourceName"]
                caller.check_words(str(payload["error"]), f"the error log of {started.name}")
                require(name not in found, f"{started.name}: {name} is in the error log twice")
                found[name] = payload["error"]["code"]
        token = page.get("nextPageToken", "")
        if not token:
            return found


class _Report:
    """What an operation says it has done."""

    def __init__(
        self, caller: Caller, started: Started, counter: tuple[int, int], failures: Failures, is_whole: bool
    ) -> None:
        self.caller, self.started, self.is_whole = caller, started, is_whole
        self.success, self.failure = counter
        self.failures = dict(failures)
        self.least = self.most = 0  # successes that must be, and that may be

    def judge(self) -> None:
        if not self.is_whole:
            self._drop_own_entry()
        require(self.failure == len(self.failures), f"{self}: {self.failure} failures, {len(self.failures)} in its log")
        for name, code in self.failures.items():
            require(code != _INTERNAL or self._had("worker"), f"{self}: {name} ends with an error nobody expected")
        if self.started.kind == "import":
            self._judge_import()
        elif self.started.kind == "export":
            self._judge_export()
        else:
            self._judge_changes()

    def __str__(self) -> str:
        return f"{self.started.kind} {self.started.name} {self.started.uri}"

    def _had(self, *places: str, calls: tuple[str, ...] = ()) -> bool:
        return bool(self.caller.troubles.during(self.started.begun, *places, calls=calls))

    def _drop_own_entry(self) -> None:
        """The error of the whole operation has an entry that is counted in no counter."""
        objects = {*(f"gs://{self.caller.source}/{key}" for key in self.started.objects)}
        own = [name for name in self.failures if name not in objects and not name.startswith("studies/")]
        for name in own[:1] if len(self.failures) > self.failure else []:
            del self.failures[name]

    # Imports ----------------------------------------------------------------------------------------------------------

    def _judge_import(self) -> None:
        prefix = f"gs://{self.caller.source}/"
        named = {name.removeprefix(prefix): code for name, code in self.failures.items()}
        folders = [key for key in named if key.endswith("/")]
        strange = [key for key in named if key not in self.started.objects and key not in folders]
        require(not strange, f"{self}: failures of objects that do not exist: {strange}")
        require(not folders or self._had("source"), f"{self}: directories without trouble cannot be listed: {folders}")
        if self.is_whole and not folders:
            total = len(self.started.objects)
            require(self.success + self.failure == total, f"{self}: {self.success} + {self.failure} of {total} objects")
        for key, item in self.started.objects.items():
            is_listed = self.is_whole and not any(key.startswith(folder) for folder in folders)
            if item is None:
                require(key in named or not is_listed, f"{self}: {key} is no DICOM, and no failure")
            else:
                self._judge_object(key, item[0], named.get(key), is_listed)
        self._compare_count()

    def _judge_object(self, key: str, uids: Uids, code: int | None, is_listed: bool) -> None:
        state, token = self.started.states[uids], self.started.token(key)
        if code is None:
            words = {"success"} | ({"healed"} if self._had("blobs", "cold", calls=READ) else set())
            self._end_well(f"{self} has no failure of {key}", state, token, words, set() if is_listed else {""})
        elif code == _EXISTS:
            _end(f"{self} says {key} is there", state, token, {"exists"})
        else:
            reasons = self._had("source", "worker", "blobs", "cold")
            require(reasons, f"{self}: {key} fails with {code} without a reason")
            _end(f"{self} fails with {key}", state, token, {"trouble"})

    # Of instances -----------------------------------------------------------------------------------------------------

    def _judge_changes(self) -> None:
        self._check_names()
        for uids, state in self.started.states.items():
            code, token = self.failures.get(path_of(uids)), self.started.token()
            if code is None:
                self._end_well(f"{self} has no failure of it", state, token, {"success"}, self._left_out())
            else:
                self._end_failed(uids, code)
        self._compare_count()

    def _judge_export(self) -> None:
        self._check_names()
        directory = self.caller.server.buckets / self.caller.out / self.started.prefix
        # What an earlier attempt has left half written is swept some seconds later: the last checks find it.
        files = {find_uids(path, directory): path for path in directory.rglob("*.dcm") if path.is_file()}
        strange = sorted(str(path) for uids, path in files.items() if uids not in self.started.states)
        require(not strange, f"{self}: files that nobody has stored: {strange[:3]}")
        for uids, state in self.started.states.items():
            code, token = self.failures.get(path_of(uids)), self.started.token()
            if code is not None:
                again = self._had("server", "worker", "out") or token in state.touched
                require(uids not in files or again, f"{self}: {uids} is written, and a failure")
                self._end_failed(uids, code)
            elif uids in files:
                self._end_written(state, token, read_content(uids, files[uids].read_bytes()))
            else:
                _end(f"{self} has not written it", state, token, self._left_out())
        self._compare_count()

    def _end_written(self, state: State, token: Hashable, found: Content) -> None:
        """A file may be there before its batch is committed."""
        self.most += 1
        self.least += self.is_whole and token not in state.touched
        wrote = Outcome("wrote", found._replace(storage_class=""))
        state.end(f"{self} has written {found}", token, lambda met: met == wrote or not self.is_whole)

    def _left_out(self) -> set[str]:
        return {"unselected"} if self.is_whole else {"unselected", ""}

    def _check_names(self) -> None:
        known = {path_of(uids) for uids in self.started.states}
        strange = [name for name in self.failures if name not in known and "#line=" not in name]
        require(not strange, f"{self}: failures of instances that do not exist: {strange}")

    def _end_failed(self, uids: Uids, code: int) -> None:
        state, token = self.started.states[uids], self.started.token()
        self.most += token in state.touched and code in (_NOT_FOUND, _ABORTED)  # one that was stored since: see AGAIN
        if code == _NOT_FOUND:
            _end(f"{self} says it is gone", state, token, {"gone"})
        elif code == _ABORTED and token in state.touched:
            _end(f"{self} was aborted", state, token, {"aborted", "trouble"})
        else:
            reasons = self._had("blobs", "cold", "out", "worker")
            require(reasons, f"{self}: {uids} fails with {code} without a reason")
            _end(f"{self} fails with it", state, token, {"trouble", "aborted"})

    # Counters ---------------------------------------------------------------------------------------------------------

    def _end_well(self, what: str, state: State, token: Hashable, words: set[str], others: set[str]) -> None:
        """It has no failure: a success (``words``), or something that is not counted."""
        met = {_word(outcome) for outcome in state.outcomes(token)} & (words | others)
        self.most += bool(met & words)
        self.least += bool(met) and met <= words
        _end(what, state, token, words | others)

    def _compare_count(self) -> None:
        require(
            self.least <= self.success <= self.most,
            f"{self}: {self.success} successes; from {self.least} to {self.most} are possible",
        )


def _word(outcome: Outcome | None) -> str:
    """ "" where its turn has not come."""
    return outcome.word if outcome is not None else ""


def _end(what: str, state: State, token: Hashable, words: set[str]) -> None:
    state.end(what, token, lambda outcome: _word(outcome) in words)
