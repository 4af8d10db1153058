"""docs/howto/buckets.md: what ``gantry buckets check`` prints, with a bucket that may be listed and not read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.test_readme import ROOT, shell
from tests.support.s3_server import S3Server

PAGE = (ROOT / "docs" / "howto" / "buckets.md").read_text(encoding="utf-8")
(SHOWN,) = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
ENTRY = '[[remote_buckets]]\nname = "incoming"\nprovider = "s3"\nendpoint = "{url}"\nanonymous = true\n'


@pytest.mark.slow
def test_the_check_of_a_bucket_prints_what_the_page_shows(tmp_path: Path) -> None:
    command, _, printed = SHOWN.removeprefix("$ ").partition("\n")
    with S3Server(buckets=("incoming",)) as server:
        server.put("incoming", {f"{number:04}.dcm": b"x" for number in range(1200)})
        (tmp_path / "gantry.toml").write_text(ENTRY.format(url=server.url))
        with server.fail("403 AccessDenied", methods=("GetObject",)) as rule:
            done = shell("sleep 60 &\n" + command.replace("/etc/", "") + " || test $? = 1\n", tmp_path)
        assert rule.failed
    assert (done.returncode, done.stdout) == (0, printed), done.stderr
