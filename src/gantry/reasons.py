"""Why something failed: one stable code per kind of failure, with its name and what to do, for people.

A code is given where the error is made and never changes its meaning; programs may compare it. It is kept in the error
log, and shown as ``reason`` of a ``google.rpc.ErrorInfo`` with the domain ``gantry`` (docs/howto/failures.md). An error
without a kind of its own has the name of its ``google.rpc.Code``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

DOMAIN = "gantry"


class Reason(StrEnum):
    # What a file is
    NOT_DICOM = "NOT_DICOM"
    EMPTY_FILE = "EMPTY_FILE"
    DICOMDIR = "DICOMDIR"
    TRUNCATED = "TRUNCATED"
    MALFORMED = "MALFORMED"
    MISSING_UID = "MISSING_UID"
    INVALID_UID = "INVALID_UID"
    UID_MISMATCH = "UID_MISMATCH"
    TOO_LARGE = "TOO_LARGE"
    # What is stored already
    ALREADY_STORED = "ALREADY_STORED"
    ALREADY_EXISTS_DIFFERENT = "ALREADY_EXISTS_DIFFERENT"
    STORED_BYTES_DAMAGED = "STORED_BYTES_DAMAGED"
    INSTANCE_GONE = "INSTANCE_GONE"
    INSTANCE_CHANGED = "INSTANCE_CHANGED"
    # Objects in buckets
    OBJECT_GONE = "OBJECT_GONE"
    OBJECT_CHANGED = "OBJECT_CHANGED"
    OBJECT_UNREADABLE = "OBJECT_UNREADABLE"
    NO_ACCESS = "NO_ACCESS"
    IN_ARCHIVE = "IN_ARCHIVE"
    CHECKSUM_MISMATCH = "CHECKSUM_MISMATCH"
    NO_MATCH = "NO_MATCH"
    # Pixels and forms
    CANNOT_BE_CONVERTED = "CANNOT_BE_CONVERTED"
    DECODER_CRASHED = "DECODER_CRASHED"
    # Filters
    FILTER_LINE = "FILTER_LINE"
    NAMES_NOTHING = "NAMES_NOTHING"
    # The server
    NO_ROOM = "NO_ROOM"
    DISK_AWAY = "DISK_AWAY"
    BUCKET_AWAY = "BUCKET_AWAY"
    INDEX_AWAY = "INDEX_AWAY"
    NO_WORKER = "NO_WORKER"
    WORKER_DIED = "WORKER_DIED"
    WORKER_SILENT = "WORKER_SILENT"
    SEVERAL = "SEVERAL"
    # Without a kind of their own: the names of google.rpc.Code
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    INTERNAL = "INTERNAL"
    UNAVAILABLE = "UNAVAILABLE"
    DATA_LOSS = "DATA_LOSS"
    UNAUTHENTICATED = "UNAUTHENTICATED"


class About(NamedTuple):
    """``title`` and ``advice`` for people. ``again``: doing the same once more may help, without another file."""

    title: str
    advice: str
    again: bool = False


ABOUT = {
    Reason.NOT_DICOM: About("Not a DICOM file", "Leave it out; nothing of it can be stored."),
    Reason.EMPTY_FILE: About("Empty file", "Send the file again from where it came from."),
    Reason.DICOMDIR: About("Media directory (DICOMDIR)", "Leave it out; import the files that it lists."),
    Reason.TRUNCATED: About("File is truncated", "Send the file again from where it came from."),
    Reason.MALFORMED: About("Damaged DICOM file", "Send the file again; if it stays so, ask the maker of its device."),
    Reason.MISSING_UID: About("A UID is missing", "Ask the maker of the device; the file cannot be told from others."),
    Reason.INVALID_UID: About(
        "A UID is not valid", "Correct the file, or give the store the label gantry-uids: any, which accepts letters."
    ),
    Reason.UID_MISMATCH: About("Other UIDs than the request names", "Send the file to the study that it belongs to."),
    Reason.TOO_LARGE: About("Too large", "Split the file, or leave it out."),
    Reason.ALREADY_STORED: About("Already stored", "Nothing; the stored instance was kept."),
    Reason.ALREADY_EXISTS_DIFFERENT: About(
        "Other content under the same UIDs",
        "Compare the file with the kept instance; delete that one first if the new file is the right one.",
    ),
    Reason.STORED_BYTES_DAMAGED: About(
        "The stored bytes are damaged", "Import or store the original again; it takes the place of the damaged bytes."
    ),
    Reason.INSTANCE_GONE: About("Deleted meanwhile", "Nothing, if somebody meant to delete it."),
    Reason.INSTANCE_CHANGED: About("Changed meanwhile", "Start the operation again.", True),
    Reason.OBJECT_GONE: About("The object is not there", "Check the address; the object was removed or renamed.", True),
    Reason.OBJECT_CHANGED: About("The object was changed while it was read", "Import it again.", True),
    Reason.OBJECT_UNREADABLE: About(
        "The object cannot be read", "See to the disk or the bucket, then import it again.", True
    ),
    Reason.NO_ACCESS: About(
        "The server may not read it", "Give the server the right to read it, then import it again.", True
    ),
    Reason.IN_ARCHIVE: About("In an archive of the object storage", "Restore it there, then start again.", True),
    Reason.CHECKSUM_MISMATCH: About("The bytes were changed on their way", "Import it again.", True),
    Reason.NO_MATCH: About("No object matches", "Check the address and its wildcards."),
    Reason.CANNOT_BE_CONVERTED: About(
        "Cannot be written in the form that was asked for", "Export it as it is stored, or in another form."
    ),
    Reason.DECODER_CRASHED: About("The pixels cannot be decoded", "Export it as it is stored."),
    Reason.FILTER_LINE: About("A line of the filter is not valid", "Correct the line in the filter file."),
    Reason.NAMES_NOTHING: About("A line of the filter names nothing", "Check the UIDs; the rest was done."),
    Reason.NO_ROOM: About("The disk is full", "Make room; the operation goes on by itself.", True),
    Reason.DISK_AWAY: About("A disk is away", "Mount it again; the operation goes on by itself.", True),
    Reason.BUCKET_AWAY: About("The bucket is away", "Mount it again; the operation goes on by itself.", True),
    Reason.INDEX_AWAY: About("The index was not available", "See to the database, then try again.", True),
    Reason.NO_WORKER: About("No worker process can be started", "See to the memory of the machine.", True),
    Reason.WORKER_DIED: About("The worker process died", "Try again; if it stays so, report the file.", True),
    Reason.WORKER_SILENT: About("The worker gave no sign of life", "See to the disk, then try again.", True),
    Reason.SEVERAL: About("Several reasons", "See each of them in the error log."),
    Reason.CANCELLED: About("Cancelled", "Start it again to do the rest.", True),
    Reason.UNKNOWN: About("Unknown error", "See the message; the server's log may say more.", True),
    Reason.INVALID_ARGUMENT: About("Not valid", "See the message, and correct what it names."),
    Reason.DEADLINE_EXCEEDED: About("It took too long", "Try again.", True),
    Reason.NOT_FOUND: About("Not found", "Check the name."),
    Reason.ALREADY_EXISTS: About("It exists already", "Use another name, or the one that is there."),
    Reason.PERMISSION_DENIED: About("Not allowed", "Ask the administrator of the server for the right."),
    Reason.RESOURCE_EXHAUSTED: About("A limit is reached", "Wait, or raise the limit that the message names.", True),
    Reason.FAILED_PRECONDITION: About("Not possible now", "See the message for what has to be changed first."),
    Reason.ABORTED: About("Something else changed it meanwhile", "Try again.", True),
    Reason.OUT_OF_RANGE: About("Beyond the end", "See the message for what there is."),
    Reason.UNIMPLEMENTED: About("Not supported", "See the message for what can be used instead."),
    Reason.INTERNAL: About("Error of the server", "See the server's log, and report it.", True),
    Reason.UNAVAILABLE: About("Not available", "Try again later.", True),
    Reason.DATA_LOSS: About("Data is damaged or lost", "Import or store the original again."),
    Reason.UNAUTHENTICATED: About("Not signed in", "Sign in, or send a valid token."),
}


def find_reason(text: str, code: str) -> Reason:
    """The reason of an entry as it was written; by its code where it was written without one, or by a newer version."""
    return Reason(text) if text in Reason.__members__ else Reason(code)
