"""Every block of every page is run by a test, or ``blocks.py`` says why not. Settings and JSON on pages can be read."""

from __future__ import annotations

import json
import tomllib

import pytest

from gantry.reasons import ABOUT
from gantry.settings.loading import Settings
from gantry.settings.setting import read_value, settings_of
from tests.docs.blocks import NOT_RUN, RUN, Block, find_tests, read_blocks, why_not
from tests.docs.named_tests import is_there

BLOCKS = list(read_blocks())
SETTINGS = settings_of(Settings)


def name(block: Block) -> str:
    return f"{block.page}: {block.language}: {block.text.partition(chr(10))[0]}"


def is_of(block: Block, part: str) -> bool:
    return block.language == part or block.text.startswith(part)


def test_each_block_is_run_by_a_test_or_has_a_reason_not_to_be() -> None:
    assert len(BLOCKS) > 100
    assert [name(each) for each in BLOCKS if not find_tests(each) and not why_not(each)] == []
    assert [name(each) for each in BLOCKS if find_tests(each) and why_not(each)] == []


def test_each_test_and_each_reason_is_about_something() -> None:
    for page, tests in RUN.items():
        for test, parts in tests.items():
            assert is_there(*test.split("::")), test
            for part in parts:
                assert [each for each in BLOCKS if each.page == page and is_of(each, part)], (page, part)
    for page, start in NOT_RUN:
        assert [each for each in BLOCKS if each.page == page and is_of(each, start)], (page, start)


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.language == "toml"], ids=name)
def test_settings_are_settings(block: Block) -> None:
    """Each key is a setting, with a value that it can have. Pages show no keys."""
    given = tomllib.loads(block.text.replace('account_key = "…"', 'account_key = "a2V5"'))
    assert given and given.keys() <= SETTINGS.keys()
    for key, value in given.items():
        read_value(key, SETTINGS[key], value)


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.language == "json"], ids=name)
def test_json_is_json(block: Block) -> None:
    """Whole, or the fields of an object."""
    text = block.text.strip().rstrip(",")
    assert json.loads(text if text.startswith("{") else f"{{{text}}}")


def test_the_reason_of_the_page_is_one() -> None:
    shown = [
        json.loads(each.text) for each in BLOCKS if each.page == "docs/howto/failures.md" and each.language == "json"
    ]
    assert [each["reason"] in ABOUT for each in shown if "reason" in each] == [True]
