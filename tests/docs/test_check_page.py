"""docs/howto/check.md: its command, and the summary that it shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.docs.test_howto import PREPARE, commands, home
from tests.docs.test_readme import ROOT, shell

__all__ = ["home"]
PAGE = (ROOT / "docs" / "howto" / "check.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_commands_and_the_summary_of_the_page(home: Path) -> None:
    last = commands("check.md")[-1].rstrip().splitlines()[-1].partition("#")[0]
    done = shell(PREPARE + "".join(commands("check.md")) + f"{last} --json > check.json\n", home)
    assert done.returncode == 0, done.stdout + done.stderr
    (shown,) = map(json.loads, re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
    written = json.loads((home / "check.json").read_text().splitlines()[-1])
    assert written.keys() == shown.keys() and written["summary"].keys() == shown["summary"].keys()
    assert (written["summary"]["findings"], written["summary"]["instances"]) == (0, 2)
