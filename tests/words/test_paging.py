"""``pageSize`` and ``pageToken``."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gantry.api.paging import DEFAULT_PAGE, MAX_PAGE, Page, read_page
from gantry.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "size"),
    [("", DEFAULT_PAGE), ("0", DEFAULT_PAGE), ("1", 1), (str(MAX_PAGE), MAX_PAGE), (str(MAX_PAGE + 1), MAX_PAGE)],
)
def test_sizes(text: str, size: int) -> None:
    assert read_page({"pageSize": text}, "list") == Page(size, "", "list")


def test_without_parameters_a_list_begins_at_its_start() -> None:
    assert read_page({}, "list") == Page(DEFAULT_PAGE, "", "list")


@pytest.mark.parametrize("text", ["-1", "a", "1.5", "9" * 5000, "0x10"])
def test_other_sizes_are_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidArgument, match="pageSize"):
        read_page({"pageSize": text}, "list")


@example("W").via("one of these has a token that ends in X")
@example("WW")
@example("WWW")
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_token_leads_back_to_its_position(last: str) -> None:
    token = Page(1, "", "list").token(last)
    assert token.replace("-", "").replace("_", "").isalnum()
    assert read_page({"pageToken": token}, "list").after == last


@pytest.mark.parametrize("other", ["list2", "list?filter=b", "lis", ""])
def test_a_token_fits_no_other_list_and_no_other_filter(other: str) -> None:
    token = Page(1, "", "list?filter=a").token("x")
    with pytest.raises(InvalidArgument, match="pageToken"):
        read_page({"pageToken": token}, other)


def test_a_token_that_was_changed_leads_nowhere_else() -> None:
    token = Page(1, "", "list").token("last")
    for position, letter in enumerate(token):
        changed = token[:position] + ("A" if letter != "A" else "B") + token[position + 1 :]
        try:
            assert read_page({"pageToken": changed}, "list").after == "last"
        except InvalidArgument as error:
            assert "pageToken" in error.message


def test_a_token_cut_short_is_refused() -> None:
    token = Page(1, "", "list").token("last")
    for length in range(1, len(token)):
        with pytest.raises(InvalidArgument, match="pageToken"):
            read_page({"pageToken": token[:length]}, "list")


@given(st.text(min_size=1))
def test_an_invented_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument, match="pageToken"):
        read_page({"pageToken": token}, "list")


def test_a_position_that_counts_is_a_number() -> None:
    for last, number in (("", None), ("42", 42)):
        assert Page(1, last, "list").after_number == number
    for last in ("x", "1.5", "9" * 5000, "9" * 19, " "):
        with pytest.raises(InvalidArgument, match="pageToken"):
            _ = Page(1, last, "list").after_number


@pytest.mark.parametrize("last", ["x", "1/2", "1/2/3/4", "1/2/x", f"1/2/{1 << 63}", "1/2/-3", "1/2/٣", "1/2/3/x"])
def test_a_made_up_position_of_three_numbers_is_refused(last: str) -> None:
    """A token is no secret: anybody can make one."""
    page = read_page({"pageToken": Page(1, "", "list").token(last)}, "list")
    with pytest.raises(InvalidArgument, match="pageToken"):
        page.after_numbers(3)
    assert Page(1, "1/2/3", "list").after_numbers(3) == [1, 2, 3]
