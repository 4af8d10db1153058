"""The error family: numbers, HTTP, and the way through a pickle."""

from __future__ import annotations

import pickle

import pytest

from gantry import errors
from gantry.errors import Code, Status, StatusError, invalid_field

# google.rpc.Code: https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
NUMBERS = {
    "Cancelled": (1, 499),
    "Unknown": (2, 500),
    "InvalidArgument": (3, 400),
    "DeadlineExceeded": (4, 504),
    "NotFound": (5, 404),
    "AlreadyExists": (6, 409),
    "PermissionDenied": (7, 403),
    "ResourceExhausted": (8, 429),
    "FailedPrecondition": (9, 400),
    "Aborted": (10, 409),
    "OutOfRange": (11, 400),
    "Unimplemented": (12, 501),
    "Internal": (13, 500),
    "Unavailable": (14, 503),
    "DataLoss": (15, 500),
    "Unauthenticated": (16, 401),
}


def test_the_family_is_complete() -> None:
    kinds = [kind for kind in StatusError.__subclasses__() if kind.__module__ == errors.__name__]
    assert [kind.__name__ for kind in kinds] == list(NUMBERS)
    assert sorted(Code) == [0, *sorted(number for number, _ in NUMBERS.values())]


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_those_of_google_rpc(name: str) -> None:
    kind = getattr(errors, name)
    assert (int(kind.code), kind.http) == NUMBERS[name]
    assert kind.code.name.replace("_", "").lower() == name.lower()


@pytest.mark.parametrize("name", NUMBERS)
def test_an_error_comes_out_of_a_pickle_as_it_went_in(name: str) -> None:
    error = getattr(errors, name)("what happened", ({"@type": "t", "field": "f"},))
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(copy) is type(error)
    assert (copy.message, copy.details, copy.status) == (error.message, error.details, error.status)
    assert str(copy) == "what happened"


def test_status_is_code_and_message() -> None:
    assert errors.NotFound("gone").status == Status(Code.NOT_FOUND, "gone")


def test_advice_is_a_field_and_a_sentence_of_its_own() -> None:
    error = errors.NotFound("bucket gs://b does not exist", advice="create it")
    assert (error.what, error.advice) == ("bucket gs://b does not exist", "create it")
    assert error.message == str(error) == error.status.message == "bucket gs://b does not exist. Create it"
    assert error.status == Status(Code.NOT_FOUND, "bucket gs://b does not exist", "create it")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (copy.what, copy.advice, copy.message) == (error.what, error.advice, error.message)


def test_advice_stays_at_the_end_of_what_is_said_of_something_larger() -> None:
    error = errors.PermissionDenied("may not be read", ({"a": 1},), "give its user read permission")
    larger = error.within("the filter file gs://b/f cannot be read")
    assert type(larger) is errors.PermissionDenied and larger.details == ({"a": 1},)
    text = "the filter file gs://b/f cannot be read: may not be read. Give its user read permission"
    assert larger.message == text


def test_advice_is_kept_whole_in_a_message_that_has_to_be_cut() -> None:
    error = errors.NotFound("x" * 10_000, advice="create it")
    assert len(error.message) <= errors.MAX_MESSAGE and error.message.endswith("…. Create it")


def test_a_bad_field_is_named_for_people_and_for_machines() -> None:
    error = invalid_field("gcsSource.uri", "is missing")
    assert error.message == "gcsSource.uri: is missing"
    assert error.details == (
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "gcsSource.uri", "description": "is missing"}],
        },
    )


def test_a_problem_without_a_field_has_no_empty_name_in_front() -> None:
    assert invalid_field("", "is missing").message == "is missing"


def test_no_message_repeats_all_of_what_was_sent() -> None:
    error = invalid_field("updateMask", f"{'x' * 60_000!r} is not a field; use labels")
    (violation,) = error.details[0]["fieldViolations"]
    for text in (error.message, violation["description"], str(error), errors.NotFound("y" * 60_000).message):
        assert len(text) == 1500
    assert error.message.startswith("updateMask: 'xxx") and error.message.endswith("is not a field; use labels")
    assert pickle.loads(pickle.dumps(error)).message == error.message  # noqa: S301
