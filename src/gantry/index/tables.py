"""The tables. Times are microseconds since 1970 UTC; JSON is text; checkpoints are raw key bytes."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    UniqueConstraint,
    column,
    table,
    text,
)

from gantry.index.columns import Id, metadata
from gantry.index.dialect import FALSE, POSTGRESQL, SQLITE, TEXT, cut_key

TEXT_FIELDS = ("patient_name", "patient_id", "accession_number", "referring_physician_name", "study_description")

dataset = Table(
    "dataset",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project", TEXT, nullable=False),
    Column("location", TEXT, nullable=False),
    Column("dataset", TEXT, nullable=False),
    Column("time_zone", TEXT, nullable=False, server_default=""),
    Column("kms_key_name", TEXT, nullable=False, server_default=""),
    Column("policy", TEXT, nullable=False, server_default=""),
    UniqueConstraint("project", "location", "dataset", name="dataset_name"),
    sqlite_autoincrement=True,
)

# A deleted store keeps its row, and so its number, until its instances and blobs are gone. A study or series that is
# deleted is moved at once below a row of its own, which is ``deleted``, too, and says what it was ``removed_from``.
dicom_store = Table(
    "dicom_store",
    metadata,
    Column("id", Id, primary_key=True),
    Column("dataset_id", Id, nullable=False),
    Column("store", TEXT, nullable=False),
    Column("settings", TEXT, nullable=False),
    Column("deleted", Boolean, nullable=False, server_default=FALSE),
    Column("policy", TEXT, nullable=False, server_default=""),
    Column("removed_from", Id),
    sqlite_autoincrement=True,
)
Index(
    "dicom_store_name",
    dicom_store.c.dataset_id,
    dicom_store.c.store,
    unique=True,
    sqlite_where=text("deleted = 0"),
    postgresql_where=text("NOT deleted"),
)

# Projects are not made here; those that have a policy have a row.
project = Table(
    "project",
    metadata,
    Column("project", TEXT, primary_key=True),
    Column("policy", TEXT, nullable=False),
)


def _text(name: str) -> Column[str]:
    return Column(name, TEXT, nullable=False, server_default="")


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


# Attributes are those of the first instance that came; what it did not say is from those after it. ``members`` are
# parts of a DICOM JSON object; ``modalities`` are joined by backslashes. ``described_by`` is the number of the reader
# that has described the study and its series. The counters are those of the rows below, changed in the same
# transaction.
study = Table(
    "study",
    metadata,
    Column("id", Id, primary_key=True),
    Column("store_id", Id, ForeignKey("dicom_store.id"), nullable=False),
    Column("study_instance_uid", TEXT, nullable=False),
    *map(_text, ("patient_name", "patient_id", "accession_number", "referring_physician_name", "study_date")),
    *map(_text, ("study_time", "study_description", "study_id", "members", "more_members", "modalities")),
    _count("series_count"),
    _count("instance_count"),
    Column("described_by", Integer, nullable=False, server_default="0"),
    UniqueConstraint("store_id", "study_instance_uid", name="study_uid"),
    Index("study_date", "store_id", "study_date", "id"),
    Index("study_described_by", "described_by", "id"),
)
for _name, _field in (("study_patient", "patient_id"), ("study_accession", "accession_number")):
    Index(_name, study.c.store_id, study.c[_field]).ddl_if(dialect=SQLITE)
    Index(f"{_name}_start", study.c.store_id, cut_key(study.c[_field])).ddl_if(dialect=POSTGRESQL)

# Names for look-ups that a study's own columns cannot serve, as ``matching`` folds them; ``kind`` is one of TERMS. Of a
# term there are up to KEY_CHARACTERS.
study_term = Table(
    "study_term",
    metadata,
    Column("store_id", Id, primary_key=True),
    Column("kind", Integer, primary_key=True),
    Column("term", TEXT, primary_key=True),
    Column("study_id", Id, primary_key=True),
    sqlite_with_rowid=False,
)
TERMS = {"patient_name": (1, 2), "referring_physician_name": (3, 4)}
"""Field → the kinds of its component groups and of its words."""

study_modality = Table(
    "study_modality",
    metadata,
    Column("store_id", Id, primary_key=True),
    Column("modality", TEXT, primary_key=True),
    Column("study_date", TEXT, primary_key=True),
    Column("study_id", Id, primary_key=True),
    sqlite_with_rowid=False,
)

# Not in ``metadata``: the same fields with an index of trigrams, for wildcards that begin with one. It is FTS5 in
# SQLite; in PostgreSQL see ``dialect_functions``.
study_text = table("study_text", *map(column, ("rowid", *TEXT_FIELDS)))

series = Table(
    "series",
    metadata,
    Column("id", Id, primary_key=True),
    Column("study_id", Id, ForeignKey("study.id"), nullable=False),
    Column("series_instance_uid", TEXT, nullable=False),
    _count("instance_count"),
    _count("blob_bytes"),
    _count("structured_bytes"),
    Column("store_id", Id, nullable=False, server_default="0"),
    *map(_text, ("modality", "series_number", "series_description", "start_date", "members", "more_members")),
    _text("start_time"),
    UniqueConstraint("study_id", "series_instance_uid", name="series_uid"),
    Index("series_store_uid", "store_id", "series_instance_uid"),
    Index("series_modality", "store_id", "modality", "series_instance_uid"),
    sqlite_autoincrement=True,
)
# Only of series that say when their procedure step began.
HAS_START = "start_date || start_time <> ''"
Index(
    "series_start",
    *(series.c[name] for name in ("store_id", "start_date", "start_time")),
    sqlite_where=text(HAS_START),
    postgresql_where=text(HAS_START),
)

# The items of RequestAttributesSequence of a series, each pair of ids once. Rows of a series that was deleted keep the
# number of the store that it was in until they are removed with it.
series_request = Table(
    "series_request",
    metadata,
    Column("series_id", Id, primary_key=True),
    Column("scheduled_step_id", TEXT, primary_key=True),
    Column("requested_procedure_id", TEXT, primary_key=True),
    Column("store_id", Id, nullable=False),
    Index("request_scheduled_step", "store_id", "scheduled_step_id"),
    Index("request_procedure", "store_id", "requested_procedure_id"),
    sqlite_with_rowid=False,
)

# What a series holds, by storage class.
series_tally = Table(
    "series_tally",
    metadata,
    Column("series_id", Id, primary_key=True),
    Column("storage_class", TEXT, primary_key=True),
    Column("instances", BigInteger, nullable=False),
    Column("blob_bytes", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Headers of several instances, as ``header_packs`` packs them: of one series, or of several and then of series 0.
header_pack = Table(
    "header_pack",
    metadata,
    Column("id", Id, primary_key=True),
    Column("series_id", Id, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("header_pack_series", "series_id"),
    sqlite_autoincrement=True,
)

# Objects that hold the bytes of several instances. ``bytes`` is where the last instance ends that a row has named,
# ``live_bytes`` what those take that have a row, each in whole blocks. Nothing more comes into one that is ``sealed``.
# Numbers are never used again.
segment = Table(
    "segment",
    metadata,
    Column("id", Id, primary_key=True),
    Column("store_id", Id, nullable=False),
    Column("key", TEXT, nullable=False),
    _count("bytes"),
    _count("live_instances"),
    _count("live_bytes"),
    Column("sealed", Boolean, nullable=False, server_default=FALSE),
    UniqueConstraint("key", name="segment_key"),
    Index("segment_store", "store_id"),
    sqlite_autoincrement=True,
)

# Clustered on (series, UID): one B-tree, and instances of a series lie together whatever order they came in. Bytes that
# are in a segment have its number and an empty ``blob_key``; see ``blob_keys``.
instance = Table(
    "instance",
    metadata,
    Column("series_id", Id, ForeignKey("series.id"), primary_key=True),
    Column("sop_instance_uid", TEXT, primary_key=True),
    Column("sop_class_uid", TEXT, nullable=False),
    Column("transfer_syntax_uid", TEXT, nullable=False),
    Column("blob_key", TEXT, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("storage_class", TEXT, nullable=False),
    Column("storage_class_update_time", BigInteger, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("structured_size", BigInteger, nullable=False, server_default="0"),
    Column("instance_number", BigInteger),
    Column("number_of_frames", BigInteger),
    Column("rows", Integer),
    Column("columns", Integer),
    Column("bits_allocated", Integer),
    Column("pack_id", Id),
    Column("pack_number", Integer),
    Column("segment_id", Id),
    Column("segment_offset", BigInteger),
    sqlite_with_rowid=False,
)
# Rows of an older Gantry, whose headers are still to be read; a header that cannot be kept has a number without a pack.
Index(
    "instance_undescribed",
    instance.c.series_id,
    instance.c.sop_instance_uid,
    sqlite_where=text("pack_number IS NULL"),
    postgresql_where=text("pack_number IS NULL"),
)

operation = Table(
    "operation",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("dataset_id", Id, nullable=False),
    Column("store_id", Id, nullable=False, server_default="0"),
    Column("store", TEXT, nullable=False, server_default=""),
    Column("version", TEXT, nullable=False),
    Column("method", TEXT, nullable=False),
    Column("request", TEXT, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("end_time", BigInteger),
    Column("listed", BigInteger, nullable=False, server_default="0"),
    Column("success", BigInteger, nullable=False, server_default="0"),
    Column("failure", BigInteger, nullable=False, server_default="0"),
    Column("checkpoint", LargeBinary, nullable=False),
    Column("blob_prefix", TEXT, nullable=False, server_default=""),
    Column("runner", TEXT, nullable=False, server_default=""),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("cancel_requested", Boolean, nullable=False, server_default=FALSE),
    Column("error_code", Integer),
    Column("error_message", TEXT),
    _text("error_reason"),
    _count("transferred_bytes"),
    _count("unchecked"),
    _count("files"),
    Index("operation_dataset", "dataset_id", "id"),
)
Index(
    "operation_open",
    operation.c.id,
    sqlite_where=text("end_time IS NULL"),
    postgresql_where=text("end_time IS NULL"),
)
Index(
    "operation_end_time",
    operation.c.end_time,
    sqlite_where=text("end_time IS NOT NULL"),
    postgresql_where=text("end_time IS NOT NULL"),
)

# The error log: one row per object that failed or was warned of, in the order they were committed.
failure = Table(
    "failure",
    metadata,
    Column("operation_id", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("time", BigInteger, nullable=False),
    Column("resource", TEXT, nullable=False),
    Column("code", Integer, nullable=False),
    Column("message", TEXT, nullable=False),
    Column("severity", Integer, nullable=False, server_default="500"),
    _text("reason"),
    Index("failure_time", "time", "operation_id", "seq"),
    sqlite_with_rowid=False,
)

# How far an operation had come at a time: a point for every half percent of the time that it has taken.
progress = Table(
    "progress",
    metadata,
    Column("operation_id", BigInteger, primary_key=True),
    Column("time", BigInteger, primary_key=True),
    Column("done", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What an operation's filter file selects; an empty UID stands for the whole series. Numbers of series are never used
# again, so that rows of one that was deleted meanwhile name nothing.
selection = Table(
    "selection",
    metadata,
    Column("operation_id", BigInteger, primary_key=True),
    Column("series_id", BigInteger, primary_key=True),
    Column("sop_instance_uid", TEXT, primary_key=True),
    sqlite_with_rowid=False,
)

# Blobs that a transaction gave up, until the sweeper has deleted them.
garbage = Table("garbage", metadata, Column("blob_key", TEXT, primary_key=True), sqlite_with_rowid=False)

# Where uploads under way write to; see ``studies.uploads``. ``server`` is the one that they came to.
upload = Table(
    "upload",
    metadata,
    Column("id", Id, primary_key=True),
    Column("store_id", Id, nullable=False),
    _text("server"),
    sqlite_autoincrement=True,
)

# Servers that share the index, as long as they are alive; see ``index.servers``. ``home`` is that of the data
# directory, ``place`` the one in the order in which they came, ``state`` what the others must know of it (JSON). Empty
# where one server has the index for itself.
server = Table(
    "server",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("home", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("runs", Boolean, nullable=False),
    Column("place", BigInteger, nullable=False),
    _count("beats"),
    Column("state", TEXT, nullable=False, server_default="{}"),
    sqlite_with_rowid=False,
)

# What a store has gained and lost on a day (since 1970, UTC); sums of all days are what it holds.
tally = Table(
    "tally",
    metadata,
    Column("store_id", Id, primary_key=True),
    Column("storage_class", TEXT, primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("instances", BigInteger, nullable=False),
    Column("blob_bytes", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The change feed: for each store, packs of events (``events``) in the order of their transactions, which are numbered
# from 1 on without gaps. What a deletion has removed follows in parts from 1 on while its rows go; until then
# ``pending`` is the row of ``dicom_store`` that they are below. Times are those of the transactions.
change_pack = Table(
    "change_pack",
    metadata,
    Column("store_id", Id, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("time", BigInteger, nullable=False),
    Column("pending", Id),
    Column("data", LargeBinary, nullable=False),
)
Index(
    "change_pending",
    change_pack.c.store_id,
    change_pack.c.number,
    sqlite_where=text("pending IS NOT NULL"),
    postgresql_where=text("pending IS NOT NULL"),
)

# The last pack that is not kept any more; a store without a row has lost none.
change_start = Table(
    "change_start",
    metadata,
    Column("store_id", Id, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("part", Integer, nullable=False),
    Column("checksum", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# One row, or none before the first start. ``era`` is empty while nothing is recorded, and another one each time that it
# begins. ``receivers`` is another number after each change of who is told.
change_feed = Table(
    "change_feed",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("era", TEXT, nullable=False),
    _count("receivers"),
)

# Searches that people have given names.
saved_search = Table(
    "saved_search",
    metadata,
    Column("store_id", Id, primary_key=True),
    Column("owner", TEXT, primary_key=True),
    Column("name", TEXT, primary_key=True),
    Column("query", TEXT, nullable=False),
    sqlite_with_rowid=False,
)

# One row. ``mark`` is that of the places of blobs, too. Every transaction adds one to ``commits``, and the places are
# told, so that an older index put back beside newer blobs is noticed. ``rebuilding``: not all blobs have rows yet.
generation = Table(
    "generation",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("mark", TEXT, nullable=False),
    _count("commits"),
    Column("rebuilding", Boolean, nullable=False, server_default=FALSE),
)

# The places that have the mark.
generation_place = Table("generation_place", metadata, Column("place", TEXT, primary_key=True), sqlite_with_rowid=False)

# One row: how far the clock has been followed; see ``retention``.
trail = Table("trail", metadata, Column("id", Integer, primary_key=True), Column("time", BigInteger, nullable=False))
