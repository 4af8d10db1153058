"""The browser and the hospital of the console's tests."""

from __future__ import annotations

from tests.console.conftest import browser, scene

__all__ = ["browser", "scene"]
