"""The system's errors in our words."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from gantry.system_errors import _WORDS, describe_os_error

COMMON = ("ENOSPC", "EACCES", "EIO", "EROFS", "EMFILE", "ENOENT", "ENAMETOOLONG", "EDQUOT", "EADDRINUSE")


@pytest.mark.parametrize("name", COMMON)
def test_common_ones_have_words_and_no_line_in_the_log(name: str, caplog: pytest.LogCaptureFixture) -> None:
    number = getattr(errno, name)
    words = describe_os_error(OSError(number, os.strerror(number), "/srv/secret"))
    assert words == _WORDS[number] and "/srv" not in words
    assert not caplog.records


@pytest.mark.parametrize("error", [OSError(errno.EBADMSG, "text of the system"), OSError("text of the system")])
def test_others_are_logged_and_not_repeated(error: OSError, caplog: pytest.LogCaptureFixture) -> None:
    assert describe_os_error(error) == "the system refuses it; the log has the details"
    assert "text of the system" in caplog.text


def test_names_of_hosts_have_numbers_of_their_own() -> None:
    assert describe_os_error(socket.gaierror(-2, "Name or service not known")) == "no address is known for that name"
