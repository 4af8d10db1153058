"""What a caller does at once, and what each answer means for what is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO

import pydicom

from tests.faults.mixed.caller import Answer, Caller, Store, collect_uids
from tests.faults.mixed.contents import Content, Uids, make_bytes, read_content
from tests.faults.mixed.journal import require
from tests.faults.mixed.states import Held, State
from tests.support.web import AS_STORED, JSON, ONE_AS_STORED, cut_parts, multipart, uid_path

READ = ("read", "open", "stat")
"""System calls whose failure makes stored bytes look damaged: what comes again may take their place."""


def choose_size(caller: Caller, version: int) -> int:
    """Mostly small; some are written first to a file of their own, few stay in one (STOW of more than 1 and 8 MiB)."""
    number = caller.chance.random()
    base = 9 << 20 if number < 0.02 else 1_200_000 if number < 0.08 else caller.chance.choice((64, 3000, 20_000))
    return base + 1024 * version


def make_new(caller: Caller) -> Content:
    version = caller.next_version()
    return Content(version, choose_size(caller, version))


# Storing -------------------------------------------------------------------------------------------------------------


def store(caller: Caller) -> None:
    """STOW of some instances, new and known ones."""
    place = caller.choose_store()
    wanted = {caller.choose_uids(): make_new(caller) for _ in range(caller.chance.choice((1, 2, 5)))}
    known = caller.choose_known(place)
    if known and caller.chance.random() < 0.3:
        contents = sorted(held for held in place.state(known).contents() if held and held.patient == "P1")
        if contents:
            wanted[known] = contents[0]._replace(storage_class="STANDARD")
    content_type, body = multipart([make_bytes(uids, content) for uids, content in wanted.items()])
    headers = {"content-type": content_type, "accept": JSON}
    answer = caller.send("POST", f"{place.web}/studies", content=body, headers=headers)
    _take_stored(caller, place, wanted, answer)


def replace(caller: Caller) -> None:
    """PUT of one instance."""
    place = caller.choose_store()
    uids = (caller.choose_known(place) if caller.chance.random() < 0.7 else None) or caller.choose_uids()
    content = make_new(caller)
    headers = {"content-type": "application/dicom", "accept": JSON}
    path = f"{place.web}/studies".replace("v1/", "v1beta1/", 1)
    answer = caller.send("PUT", path, content=make_bytes(uids, content), headers=headers)
    if answer.status == 409 and "00081198" in answer.text:
        failed = answer.json()["00081198"]["Value"][0]
        if "not known" not in str(failed):
            return
        answer = answer._replace(status=503)  # its text says that it is not known
    require(answer.status in (200, 429) or answer.is_unknown, f"PUT of {uids}: {answer.status} {answer.text}")

    def put(held: Held) -> list[Held]:
        after = content if held is None else content._replace(storage_class=held.storage_class)
        return [after] if answer.status == 200 else [held] if answer.status == 429 else [held, after]

    place.state(uids).change(f"PUT answered {answer.status}", put, is_unsure=_is_unsure(answer))


def _take_stored(caller: Caller, place: Store, wanted: dict[Uids, Content], answer: Answer) -> None:
    if answer.status == 429:
        return
    if answer.is_unknown:
        for uids, content in wanted.items():
            place.state(uids).change("STOW, unknown", _maybe_stored(content), is_unsure=_is_unsure(answer))
        return
    require(answer.status in (200, 409), f"STOW: {answer.status} {answer.text}")
    said = answer.json()
    require("00081198" in said or answer.status == 200, f"STOW answers 409 without a failure: {answer.text}")
    stored = collect_uids(said.get("00081199", {}).get("Value", []))
    refused = said.get("00081198", {}).get("Value", [])
    failed = {item["00081155"]["Value"][0]: str(item) for item in refused if "00081155" in item}
    for uids, content in wanted.items():  # a long instance that could not be written was not read
        if uids[2] not in (*stored, *failed) and content.size > 1 << 20:
            failed[uids[2]] = next(str(item) for item in refused if "00081155" not in item)
    require(
        sorted([*stored, *failed]) == sorted(uids[2] for uids in wanted) and len(refused) == len(failed),
        f"STOW of {sorted(wanted)} answers {sorted(stored)} and {refused}",
    )
    doubt = bool(caller.troubles.during(answer.begun, "blobs", "cold", calls=READ))
    for uids, content in wanted.items():
        why = failed.get(uids[2])
        if why is not None:
            caller.check_words(why, f"STOW of {uids}")
        _take_one(place, uids, content, why, doubt)


def _take_one(place: Store, uids: Uids, content: Content, why: str | None, doubt: bool) -> None:
    state = place.state(uids)
    if why is None:
        state.change("STOW says it was stored", _stored(content, doubt))
    elif "already exists" in why:
        state.see("STOW says it exists", lambda held: held is not None)
    elif "not known" in why:
        state.change("STOW, unknown", _maybe_stored(content), is_unsure=True)
    else:
        require("disk" in why or "cannot" in why or "server" in why, f"STOW refuses {uids}: {why}")


def _is_unsure(answer: Answer) -> bool:
    """The commit has failed, and the index could not be written since: see ``gantry.index.commits``."""
    return "not known" in answer.text


def _stored(content: Content, doubt: bool) -> Callable[[Held], list[Held]]:
    """``doubt``: stored bytes may have looked damaged, so that equally many new ones took their place."""

    def change(held: Held) -> list[Held]:
        if held is None:
            return [content]
        return [content._replace(storage_class=held.storage_class)] if doubt and held.version == content.version else []

    return change


def _maybe_stored(content: Content) -> Callable[[Held], list[Held]]:
    return lambda held: [held, content] if held is None else [held, *_stored(content, True)(held)]


# Changing and deleting -----------------------------------------------------------------------------------------------


def patch(caller: Caller) -> None:
    """PATCH of the metadata of one instance."""
    place = caller.choose_store()
    uids = caller.choose_known(place) or caller.choose_uids()
    patient = f"Q{caller.chance.randint(0, 9)}"
    body = [{"op": "replace", "path": "/00100020/Value/0", "value": patient}]
    path = f"{place.web}/{uid_path(*uids)}/metadata".replace("v1/", "v1beta1/", 1)
    answer = caller.send("PATCH", path, json=body, headers={"content-type": "application/json-patch+json"})
    state = place.state(uids)
    if answer.status == 404:
        state.see("PATCH says there is none", lambda held: held is None)
    elif answer.status == 200:
        state.change("PATCH answered 200", lambda held: [held._replace(patient=patient)] if held else [])
    elif answer.is_unknown:
        unsure = _is_unsure(answer)
        state.change("PATCH", lambda held: [held, held._replace(patient=patient)] if held else [None], unsure)
    else:
        require(answer.status in (409, 429), f"PATCH of {uids}: {answer.status} {answer.text}")


def delete(caller: Caller) -> None:
    """DELETE of an instance, a series or a study."""
    place = caller.choose_store()
    uids = (caller.choose_known(place) or caller.choose_uids())[: caller.chance.choice((1, 2, 3, 3, 3))]
    answer = caller.send("DELETE", f"{place.web}/{uid_path(*uids)}")
    require(answer.status in (200, 404, 429) or answer.is_unknown, f"DELETE {uids}: {answer.status} {answer.text}")
    states = place.below(*uids).values()
    if answer.status == 404:
        for state in states:
            state.see("DELETE says there is none", lambda held: held is None)
    elif answer.status == 200:
        require(any(state.may_be_present for state in states), f"DELETE {uids} answers 200, and nothing was there")
        for state in states:
            state.change("DELETE answered 200", lambda _: [None])
    elif answer.is_unknown:
        for state in states:
            state.change("DELETE, unknown", lambda held: [held, None], is_unsure=_is_unsure(answer))


# Reading -------------------------------------------------------------------------------------------------------------


def retrieve(caller: Caller) -> None:
    """GET of one instance, of its metadata or of its study."""
    place = caller.choose_store()
    uids = caller.choose_known(place) or caller.choose_uids()
    caller.chance.choice((retrieve_one, retrieve_one, read_metadata, retrieve_study))(caller, place, uids)


def retrieve_one(caller: Caller, place: Store, uids: Uids) -> Answer:
    answer = caller.send("GET", f"{place.web}/{uid_path(*uids)}", headers={"accept": ONE_AS_STORED})
    if answer.status == 200:
        found = read_content(uids, answer.data)
        place.state(uids).see(f"GET answers {found}", lambda held: held is not None and held.is_same(found))
    elif answer.status == 404:
        place.state(uids).see("GET says there is none", lambda held: held is None)
    else:
        require(answer.is_unknown, f"GET of {uids}: {answer.status} {answer.text}")
    return answer


def read_metadata(caller: Caller, place: Store, uids: Uids) -> None:
    answer = caller.send("GET", f"{place.web}/{uid_path(*uids)}/metadata", headers={"accept": JSON})
    state = place.state(uids)
    if answer.status == 200:
        (found,) = answer.json()
        require(found["00080018"]["Value"] == [uids[2]], f"metadata of {uids} is that of {found['00080018']}")
        patient = found["00100020"]["Value"][0]
        state.see(f"metadata has {patient}", lambda held: held is not None and held.patient == patient)
    elif answer.status == 404:
        state.see("metadata says there is none", lambda held: held is None)
    else:
        require(answer.is_unknown, f"metadata of {uids}: {answer.status} {answer.text}")


def retrieve_study(caller: Caller, place: Store, uids: Uids) -> None:
    answer = caller.send("GET", f"{place.web}/{uid_path(uids[0])}", headers={"accept": AS_STORED})
    states = place.below(uids[0])
    if answer.status == 200:
        found = dict(_read_parts(place, uids[0], answer))
        for each, state in states.items():
            if (content := found.get(each)) is None:
                state.see("its study is retrieved without it", lambda held: held is None)
            else:
                _see(state, content)
    elif answer.status == 404:
        for state in states.values():
            state.see("there is no such study", lambda held: held is None)
    else:
        require(answer.is_unknown, f"GET of study {uids[0]}: {answer.status} {answer.text}")


def _see(state: State, content: Content) -> None:
    state.see(f"its study is retrieved with {content}", lambda held: held is not None and held.is_same(content))


def _read_parts(place: Store, study: str, answer: Answer) -> Iterator[tuple[Uids, Content]]:
    for part in cut_parts(answer.type, answer.data):
        head = pydicom.dcmread(BytesIO(part.data), specific_tags=["SeriesInstanceUID", "SOPInstanceUID"])
        uids = (study, str(head.SeriesInstanceUID), str(head.SOPInstanceUID))
        require(uids in place.states, f"study {study} is retrieved with {uids}, which nobody has stored")
        yield uids, read_content(uids, part.data)


def search(caller: Caller) -> None:
    """A search for the instances of a study."""
    place = caller.choose_store()
    study = caller.choose_uids()[0]
    answer = caller.send("GET", f"{place.web}/studies/{study}/instances", headers={"accept": JSON})
    if answer.is_unknown:
        return
    require(answer.status in (200, 204, 404), f"search below {study}: {answer.status} {answer.text}")
    found = answer.json() if answer.status == 200 else []
    uids = {(study, item["0020000E"]["Value"][0], item["00080018"]["Value"][0]) for item in found}
    require(len(uids) == len(found), f"a search below {study} finds an instance twice")
    require(uids <= place.states.keys(), f"a search finds what nobody has stored: {sorted(uids - place.states.keys())}")
    for each, state in place.below(study).items():
        is_found = each in uids
        state.see(f"a search finds it: {is_found}", lambda held, there=is_found: (held is not None) == there)  # type: ignore[misc]
