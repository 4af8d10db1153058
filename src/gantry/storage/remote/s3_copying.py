"""Copies by the server itself of objects that one request cannot copy."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from gantry.beats import beat_again

MOST_COPIED = 5 << 30
"""Bytes that CopyObject can copy, and UploadPartCopy ("Copying objects", Amazon S3 User Guide)."""
COPIED_PART = 1 << 30


def copy_parts(
    client: Any, asked: Mapping[str, Any], named: Mapping[str, Any], size: int, made_with: Mapping[str, str]
) -> None:
    """``asked`` names the new object, ``named`` the old one. Raises what botocore raises; no part is left behind."""
    upload = client.create_multipart_upload(**asked, **made_with)["UploadId"]
    asked = {**asked, "UploadId": upload}
    try:
        parts = []
        for number, offset in enumerate(range(0, size, COPIED_PART), 1):
            beat_again()
            part = f"bytes={offset}-{min(offset + COPIED_PART, size) - 1}"
            said = client.upload_part_copy(**asked, **named, PartNumber=number, CopySourceRange=part)
            parts.append({"PartNumber": number, "ETag": said["CopyPartResult"]["ETag"]})
        client.complete_multipart_upload(**asked, MultipartUpload={"Parts": parts})
    except BaseException:
        with suppress(Exception):  # the error of the copy is the one to report
            client.abort_multipart_upload(**asked)
        raise
