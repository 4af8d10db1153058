"""Why something failed: one stable code per kind of failure, with its name and what to do, for people.

A code is given where the error is made and never changes its meaning; programs may compare it. It is kept in the error
log, and shown as ``reason`` of a ``google.rpc.ErrorInfo`` with the domain ``gantry`` (docs/howto/failures.md). An error
without a kind of its own has the name of its ``google.rpc.Code``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from gantry.languages import N_

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
    """``title`` and ``advice`` for people: ``_`` translates them where they are shown. ``again``: doing the same once
    more may help, without another file."""

    title: str
    advice: str
    again: bool = False


ABOUT = {
    Reason.NOT_DICOM: About(N_("Not a DICOM file"), N_("Leave it out; nothing of it can be stored.")),
    Reason.EMPTY_FILE: About(N_("Empty file"), N_("Send the file again from where it came from.")),
    Reason.DICOMDIR: About(N_("Media directory (DICOMDIR)"), N_("Leave it out; import the files that it lists.")),
    Reason.TRUNCATED: About(N_("File is truncated"), N_("Send the file again from where it came from.")),
    Reason.MALFORMED: About(
        N_("Damaged DICOM file"), N_("Send the file again; if it stays so, ask the maker of its device.")
    ),
    Reason.MISSING_UID: About(
        N_("A UID is missing"), N_("Ask the maker of the device; the file cannot be told from others.")
    ),
    Reason.INVALID_UID: About(
        N_("A UID is not valid"),
        N_("Correct the file, or give the store the label gantry-uids: any, which accepts letters."),
    ),
    Reason.UID_MISMATCH: About(
        N_("Other UIDs than the request names"), N_("Send the file to the study that it belongs to.")
    ),
    Reason.TOO_LARGE: About(N_("Too large"), N_("Split the file, or leave it out.")),
    Reason.ALREADY_STORED: About(N_("Already stored"), N_("Nothing; the stored instance was kept.")),
    Reason.ALREADY_EXISTS_DIFFERENT: About(
        N_("Other content under the same UIDs"),
        N_("Compare the file with the kept instance; delete that one first if the new file is the right one."),
    ),
    Reason.STORED_BYTES_DAMAGED: About(
        N_("The stored bytes are damaged"),
        N_("Import or store the original again; it takes the place of the damaged bytes."),
    ),
    Reason.INSTANCE_GONE: About(N_("Deleted meanwhile"), N_("Nothing, if somebody meant to delete it.")),
    Reason.INSTANCE_CHANGED: About(N_("Changed meanwhile"), N_("Start the operation again."), True),
    Reason.OBJECT_GONE: About(
        N_("The object is not there"), N_("Check the address; the object was removed or renamed."), True
    ),
    Reason.OBJECT_CHANGED: About(N_("The object was changed while it was read"), N_("Import it again."), True),
    Reason.OBJECT_UNREADABLE: About(
        N_("The object cannot be read"), N_("See to the disk or the bucket, then import it again."), True
    ),
    Reason.NO_ACCESS: About(
        N_("The server may not read it"), N_("Give the server the right to read it, then import it again."), True
    ),
    Reason.IN_ARCHIVE: About(
        N_("In an archive of the object storage"), N_("Restore it there, then start again."), True
    ),
    Reason.CHECKSUM_MISMATCH: About(N_("The bytes were changed on their way"), N_("Import it again."), True),
    Reason.NO_MATCH: About(N_("No object matches"), N_("Check the address and its wildcards.")),
    Reason.CANNOT_BE_CONVERTED: About(
        N_("Cannot be written in the form that was asked for"), N_("Export it as it is stored, or in another form.")
    ),
    Reason.DECODER_CRASHED: About(N_("The pixels cannot be decoded"), N_("Export it as it is stored.")),
    Reason.FILTER_LINE: About(N_("A line of the filter is not valid"), N_("Correct the line in the filter file.")),
    Reason.NAMES_NOTHING: About(N_("A line of the filter names nothing"), N_("Check the UIDs; the rest was done.")),
    Reason.NO_ROOM: About(N_("The disk is full"), N_("Make room; the operation goes on by itself."), True),
    Reason.DISK_AWAY: About(N_("A disk is away"), N_("Mount it again; the operation goes on by itself."), True),
    Reason.BUCKET_AWAY: About(N_("The bucket is away"), N_("Mount it again; the operation goes on by itself."), True),
    Reason.INDEX_AWAY: About(N_("The index was not available"), N_("See to the database, then try again."), True),
    Reason.NO_WORKER: About(N_("No worker process can be started"), N_("See to the memory of the machine."), True),
    Reason.WORKER_DIED: About(N_("The worker process died"), N_("Try again; if it stays so, report the file."), True),
    Reason.WORKER_SILENT: About(N_("The worker gave no sign of life"), N_("See to the disk, then try again."), True),
    Reason.SEVERAL: About(N_("Several reasons"), N_("See each of them in the error log.")),
    Reason.CANCELLED: About(N_("Cancelled"), N_("Start it again to do the rest."), True),
    Reason.UNKNOWN: About(N_("Unknown error"), N_("See the message; the server's log may say more."), True),
    Reason.INVALID_ARGUMENT: About(N_("Not valid"), N_("See the message, and correct what it names.")),
    Reason.DEADLINE_EXCEEDED: About(N_("It took too long"), N_("Try again."), True),
    Reason.NOT_FOUND: About(N_("Not found"), N_("Check the name.")),
    Reason.ALREADY_EXISTS: About(N_("It exists already"), N_("Use another name, or the one that is there.")),
    Reason.PERMISSION_DENIED: About(N_("Not allowed"), N_("Ask the administrator of the server for the right.")),
    Reason.RESOURCE_EXHAUSTED: About(
        N_("A limit is reached"), N_("Wait, or raise the limit that the message names."), True
    ),
    Reason.FAILED_PRECONDITION: About(N_("Not possible now"), N_("See the message for what has to be changed first.")),
    Reason.ABORTED: About(N_("Something else changed it meanwhile"), N_("Try again."), True),
    Reason.OUT_OF_RANGE: About(N_("Beyond the end"), N_("See the message for what there is.")),
    Reason.UNIMPLEMENTED: About(N_("Not supported"), N_("See the message for what can be used instead.")),
    Reason.INTERNAL: About(N_("Error of the server"), N_("See the server's log, and report it."), True),
    Reason.UNAVAILABLE: About(N_("Not available"), N_("Try again later."), True),
    Reason.DATA_LOSS: About(N_("Data is damaged or lost"), N_("Import or store the original again.")),
    Reason.UNAUTHENTICATED: About(N_("Not signed in"), N_("Sign in, or send a valid token.")),
}


def find_reason(text: str, code: str) -> Reason:
    """The reason of an entry as it was written; by its code where it was written without one, or by a newer version."""
    return Reason(text) if text in Reason.__members__ else Reason(code)
