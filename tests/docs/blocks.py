"""Which test runs which block of the pages, and why the others are run by none.

A test runs *every* block of a language on a page, or those that begin with certain words. A new block on any page must
be among them, or in ``NOT_RUN`` with its reason (``test_blocks.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
LANGUAGES = ("sh", "bash", "console", "python", "json", "toml")


class Block(NamedTuple):
    page: str
    language: str
    text: str


def read_blocks() -> Iterator[Block]:
    """Every block of these languages, in README and below ``docs/``."""
    for page in PAGES:
        for language, text in re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
            if language in LANGUAGES:
                yield Block(str(page.relative_to(ROOT)), language, text)


_HOWTO = "tests/docs/test_howto.py::test_every_command_of_the_page_works"
_PARSED = "tests/docs/test_blocks.py::test_json_is_json"
_SETTINGS = "tests/docs/test_blocks.py::test_settings_are_settings"
RUN: dict[str, dict[str, tuple[str, ...]]] = {
    "README.md": {
        "tests/docs/test_readme.py::test_from_nothing_to_an_import_and_an_export": ("pip install .",),
        "tests/docs/test_readme.py::test_gcloud": ("export CLOUDSDK_API",),
        "tests/docs/test_readme.py::test_curl_and_python": ("curl -X POST", "from google.auth"),
    },
    "docs/howto/access.md": {
        "tests/docs/test_howto.py::test_every_command_of_the_page_on_access_works": ("sh", "python"),
        _SETTINGS: ("toml",),
    },
    "docs/howto/backup.md": {
        "tests/docs/test_backup.py::test_a_backup_of_a_running_server_loses_nothing": (
            "mkdir -p backup",
            "mv gantry-data gantry-data.old",
        ),
        "tests/docs/test_backup.py::test_a_lost_index_is_made_again": (
            "mv gantry-data gantry-data.lost",
            "rm -f gantry-data/index.sqlite",
        ),
        _SETTINGS: ("toml",),
    },
    "docs/howto/buckets.md": {
        "tests/docs/test_buckets_page.py::test_the_check_of_a_bucket_prints_what_the_page_shows": ("console",),
        _PARSED: ("json",),
        _SETTINGS: ("toml",),
    },
    "docs/howto/change-feed.md": {
        "tests/docs/test_change_feed.py::test_every_command_of_the_page_works": ("sh",),
        "tests/docs/test_change_feed.py::test_the_program_keeps_a_copy": ("python",),
        "tests/docs/test_change_feed.py::test_the_answer_that_is_shown_has_the_fields_that_there_are": ("json",),
    },
    "docs/howto/check.md": {
        "tests/docs/test_check_page.py::test_the_commands_and_the_summary_of_the_page": ("sh", "json"),
    },
    "docs/howto/ci.md": {
        "tests/docs/test_ci_page.py::test_the_fixture_as_printed": ("python",),
        "tests/docs/test_ci_page.py::test_the_server_beside_as_printed": ("gantry emulator --port 8080",),
        "tests/docs/test_ci_page.py::test_the_first_commands_as_printed": ("pip install gantry-dicom",),
        "tests/docs/test_ci_page.py::test_the_variables_of_the_credentials": ('eval "$(gantry emulator credentials',),
    },
    "docs/howto/coming-from.md": {
        "tests/docs/test_coming_from.py::test_from_google": (
            "gantry serve",
            "export CLOUDSDK",
            "gcloud",
            "gantry import 'gs://BUCKET",
        ),
        "tests/docs/test_coming_from.py::test_from_orthanc_over_dicomweb": ("gantry stores update",),
        "tests/docs/test_coming_from.py::test_from_the_storage_area_of_orthanc": ("ln -s",),
        "tests/docs/test_coming_from.py::test_from_dcm4chee_by_way_of_a_receiver": (
            "mkdir -p received",
            "gantry upload",
        ),
        "tests/docs/test_coming_from.py::test_from_aws": ("gantry import 's3:", "gantry operations describe"),
    },
    "docs/howto/command-line.md": {
        "tests/docs/test_command_line_page.py::test_every_command_of_the_api_works": ("sh",)
    },
    "docs/howto/deletion.md": {_HOWTO: ("sh",)},
    "docs/howto/dicomweb.md": {"tests/docs/test_dicomweb.py::test_every_sample_of_the_page": ("sh", "python")},
    "docs/howto/export.md": {
        _HOWTO: ("gcloud", "gantry export gs://BUCKET/DIRECTORY"),
        "tests/docs/test_howto.py::test_pictures_of_the_export_page": ("gantry export gs://BUCKET/png",),
    },
    "docs/howto/failures.md": {"tests/docs/test_blocks.py::test_the_reason_of_the_page_is_one": ("json",)},
    "docs/howto/import.md": {_HOWTO: ("sh",)},
    "docs/howto/logs.md": {
        "tests/docs/test_logs.py::test_command_line_browser_and_json_lines": (
            "gantry operations errors",
            "curl",
            "gantry serve --log-json",
        ),
        "tests/docs/test_logs.py::test_gcloud": ("export CLOUDSDK",),
        "tests/docs/test_logs.py::test_the_entry_that_is_shown_has_the_fields_that_there_are": ("json",),
        "tests/docs/test_logs.py::test_another_retention": ("gantry serve --retention-days",),
    },
    "docs/howto/moving-50-million.md": {
        "tests/docs/test_moving_page.py::test_every_command_works_and_the_tables_are_complete": ("sh",)
    },
    "docs/howto/notifications.md": {
        "tests/docs/test_notifications_page.py::test_every_example_of_the_settings_is_accepted": ("toml",),
        "tests/docs/test_notifications_page.py::test_the_webhook_of_the_page": ("sh", "python"),
    },
    "docs/howto/operations.md": {_HOWTO: ("sh",), _PARSED: ("json",)},
    "docs/howto/postgresql.md": {
        "tests/docs/test_postgresql_page.py::test_a_server_its_backup_and_its_repair": (
            "pip install",
            "# gantry.toml",
            "pg_dump",
            "gantry check",
        ),
        "tests/docs/test_postgresql_page.py::test_an_index_moves_there_and_back": (
            "gantry migrate",
            "gantry index copy",
        ),
    },
    "docs/howto/query.md": {"tests/docs/test_query_page.py::test_every_command_of_the_page_works": ("sh",)},
    "docs/howto/scale-out.md": {_SETTINGS: ("toml",)},
    "docs/howto/storage-classes.md": {_HOWTO: ("sh",), _SETTINGS: ("toml",)},
    "docs/howto/storage-on-disk.md": {_HOWTO: ("sh",), _PARSED: ("json",)},
    "docs/howto/streaming.md": {"tests/docs/test_streaming_page.py::test_every_command_of_the_page_works": ("sh",)},
    "docs/howto/tables.md": {
        "tests/docs/test_tables_page.py::test_every_command_of_the_page_works": ("sh",),
        _SETTINGS: ("toml",),
    },
    "docs/howto/upgrade.md": {
        "tests/docs/test_upgrade_page.py::test_every_command_works_on_a_directory_of_this_version": ("sh",)
    },
}
"""Page → test → the languages of which it runs every block, or the beginnings of the blocks that it runs."""

NOT_RUN: dict[tuple[str, str], str] = {
    ("README.md", "./run demo"): "they are the commands of developers; tests/cli/test_demo.py runs the demo",
    ("README.md", "./run check"): "they are the commands of developers, and run these tests",
    ("docs/benchmarks.md", "./run bench"): "minutes of measuring; tests/test_benchmarks.py runs each with few objects",
    ("docs/benchmarks.md", "apt-get install"): "it installs packages of the system and measures for minutes",
    ("docs/howto/buckets.md", "gcloud storage buckets"): "it needs an account of Google",
    ("docs/howto/buckets.md", "az role assignment"): "it needs an account of Azure",
    (
        "docs/howto/ci.md",
        "openssl req",
    ): "port 443 and a name of its own; tests/emulator/test_credentials.py has both, in a network of its own",
    (
        "docs/howto/scale-out.md",
        "gantry serve --config",
    ): "tests/cluster starts the same commands on databases and buckets of its own",
    (
        "docs/howto/scale-out.md",
        "pip install 'gantry-dicom[dask",
    ): "several machines; tests/cluster has a scheduler and workers on one",
    (
        "docs/howto/scale-out.md",
        "pip install 'gantry-dicom[ray",
    ): "several machines; Ray is not among the tests' libraries",
    (
        "docs/howto/viewer.md",
        "gantry viewer install",
    ): "50 MB from npm; tests/api/test_viewer.py installs a package of its own",
    ("docs/howto/viewer.md", "npm pack"): "50 MB from npm; tests/api/test_viewer.py installs a package of its own",
}
"""Page and beginning of a block → why no test runs it."""


def find_tests(block: Block) -> list[str]:
    """The tests that run this block."""
    tests = RUN.get(block.page, {}).items()
    return [test for test, parts in tests if block.language in parts or block.text.startswith(parts)]


def why_not(block: Block) -> str:
    """The reason for which no test runs it, or nothing."""
    reasons = (reason for (page, start), reason in NOT_RUN.items() if page == block.page)
    starts = (start for page, start in NOT_RUN if page == block.page)
    return next((reason for start, reason in zip(starts, reasons, strict=True) if block.text.startswith(start)), "")
