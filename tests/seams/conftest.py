"""Suites tell what they compared, though they are plain modules; no test fails because the machine is busy."""

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("tests.seams.blob_store_suite", "tests.seams.executor_suite")
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
