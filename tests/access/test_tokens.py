"""Static tokens: who they stand for, and files that are no good."""

from __future__ import annotations

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gantry.access import reloading
from gantry.access.reloading import Reloaded
from gantry.access.tokens import StaticTokens
from gantry.errors import InvalidArgument
from gantry.iam.policies import Principal

ADA, PACS = "a-token-of-ada-0123", "a-token-of-pacs-0123"
TEXT = f"""
# TOKEN  MEMBER  GROUPS
{ADA}  user:Ada@Example.org  group:Radiology group:night
sha256:{hashlib.sha256(PACS.encode()).hexdigest()} serviceAccount:pacs@example.org
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(TEXT)
    path.chmod(0o600)
    return path


def test_whom_tokens_stand_for(file: Path) -> None:
    """Addresses and groups are the same in any case (§12.2)."""
    known = StaticTokens(file)
    ada, pacs = known.authenticate(ADA), known.authenticate(PACS)
    assert ada is not None and pacs is not None
    assert ada.name == "user:ada@example.org"
    groups = {"group:radiology", "group:night"}
    assert ada.members == {ada.name, "domain:example.org", "allAuthenticatedUsers", *groups}
    assert pacs.name == "serviceAccount:pacs@example.org"


@pytest.mark.parametrize("token", ["", "x", ADA[:-1], ADA + " ", TEXT, TEXT.splitlines()[-1].split()[0]])
def test_what_is_no_token(file: Path, token: str) -> None:
    """The hash of a token in the file is none itself."""
    assert StaticTokens(file).authenticate(token) is None


def test_a_changed_file_is_read_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloading, "SECONDS", 0)
    known = StaticTokens(file)
    new = "another-token-of-ada"
    file.write_text(f"{new} user:ada@example.org")
    assert known.authenticate(ADA) is None
    assert known.authenticate(new) is not None


def test_a_change_within_one_tick_of_the_clock(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clocks of file systems are coarse: a second change may bear the time, and the size, of the first."""
    monkeypatch.setattr(reloading, "SECONDS", 0)
    known, before = StaticTokens(file), file.stat()
    with file.open("r+") as opened:
        opened.write(TEXT.replace(ADA, ADA[::-1]))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert known.authenticate(ADA) is None
    assert known.authenticate(ADA[::-1]) is not None


@pytest.mark.parametrize("change", ["time", "size", "file"])
def test_a_file_that_changed_long_ago_is_read_again_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """As one that a copy has put there with its old time. What is as it was is not read at each check."""
    monkeypatch.setattr(reloading, "SECONDS", 0)
    path, old, read = tmp_path / "file", (1_600_000_000, 1_600_000_000), list[str]()

    def load() -> str:
        read.append(path.read_text())
        return read[-1]

    path.write_text("a")
    os.utime(path, old)
    held = Reloaded(path, load)
    assert [held.get() for _ in range(3)] == ["a"] * 3 and read == ["a"]
    if change == "file":  # of the same time and size
        (tmp_path / "new").write_text("b")
        (tmp_path / "new").rename(path)
    else:
        path.write_text("b" if change == "time" else "b more")
    os.utime(path, (old[0], old[1] + (change == "time")))
    assert len({held.get() for _ in range(3)}) == 1 and len(read) == 2 and read[1].startswith("b")


def test_nobody_waits_for_a_slow_disk_but_who_reads(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloading, "SECONDS", 0)
    known = StaticTokens(file)
    reading, go = threading.Event(), threading.Event()

    def load() -> dict[bytes, Principal]:
        reading.set()
        assert go.wait(30)
        return {}

    monkeypatch.setattr(known._known, "_load", load)
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(known.authenticate, ADA)
        assert reading.wait(30)
        assert known.authenticate(ADA) is not None, "what was known before is good until the file is read"
        go.set()
        assert reader.result(30) is None
    assert known.authenticate(ADA) is None


@pytest.mark.parametrize("text", ["garbage", None])
def test_a_file_that_went_bad_locks_nobody_out(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, text: str | None
) -> None:
    monkeypatch.setattr(reloading, "SECONDS", 0)
    known = StaticTokens(file)
    file.unlink() if text is None else file.write_text(text)
    assert known.authenticate(ADA) is not None
    assert "stays valid" in caplog.text and ADA not in caplog.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("short user:a@b.c", "line 1"),
        (f"\n{ADA}", "line 2"),
        (f"{ADA} ada@example.org", "user:EMAIL"),
        (f"{ADA} group:x", "user:EMAIL"),
        (f"{ADA} user:a@b.c radiology", "group:NAME"),
        (f"{ADA} user:a@b.c group:", "group:NAME"),
        (f"{ADA} user:a@b.c\n{ADA} user:b@b.c", "line 2 repeats an earlier token"),
        ("sha256:abc user:a@b.c", "sha256:"),
        ("\udcff", "tokens_file"),
    ],
)
def test_a_file_that_is_no_good_is_refused_at_the_start(file: Path, text: str, words: str) -> None:
    file.write_bytes(os.fsencode(text))
    with pytest.raises(InvalidArgument, match=words) as refused:
        StaticTokens(file)
    assert ADA not in refused.value.message


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777])
def test_plain_tokens_are_their_owners_alone(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(InvalidArgument, match="chmod 600"):
        StaticTokens(file)
    file.write_text(TEXT.splitlines()[-1])
    assert StaticTokens(file).authenticate(PACS) is not None, "hashes may be read by others"


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="none"):
        StaticTokens(tmp_path / "none")
