"""Do the counts that the index keeps agree with its rows?"""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import Connection, select, text

from gantry.header_packs import unpack
from gantry.index.requests import list_requests
from gantry.index.retelling import series_said, study_said
from gantry.index.tables import (
    TEXT_FIELDS,
    dicom_store,
    header_pack,
    instance,
    series,
    series_request,
    study,
    study_modality,
    study_term,
    study_text,
)
from gantry.index.terms import join_modalities, terms_of, text_of
from gantry.resources import path_of

_ROWS = "FROM instance JOIN series ON series.id = series_id JOIN study ON study.id = series.study_id"
_ALIVE = "IN (SELECT id FROM dicom_store WHERE NOT deleted)"
# What is counted → the rows, and what the index says of them. Those below a deleted store count no more.
_COUNTS = {
    "a store, by class": (
        "SELECT study.store_id, storage_class, count(*), sum(size) "
        f"{_ROWS} WHERE study.store_id {_ALIVE} GROUP BY 1, 2",
        "SELECT store_id, storage_class, sum(instances), sum(blob_bytes) FROM tally "
        f"WHERE store_id {_ALIVE} GROUP BY 1, 2 HAVING sum(instances) <> 0 OR sum(blob_bytes) <> 0",
    ),
    "a series, by class": (
        f"SELECT series_id, storage_class, count(*), sum(size) {_ROWS} WHERE study.store_id {_ALIVE} GROUP BY 1, 2",
        "SELECT series_id, storage_class, instances, series_tally.blob_bytes FROM series_tally JOIN series "
        f"ON series.id = series_id WHERE store_id {_ALIVE} AND (instances <> 0 OR series_tally.blob_bytes <> 0)",
    ),
    "a series": (
        "SELECT series_id, study.store_id, count(*), sum(size), sum(instance.structured_size) "
        f"{_ROWS} WHERE study.store_id {_ALIVE} GROUP BY 1, 2",
        f"SELECT id, store_id, instance_count, blob_bytes, structured_bytes FROM series WHERE store_id {_ALIVE}",
    ),
    "a study": (
        f"SELECT study.id, count(DISTINCT series_id), count(*) {_ROWS} WHERE study.store_id {_ALIVE} GROUP BY 1",
        f"SELECT id, series_count, instance_count FROM study WHERE store_id {_ALIVE}",
    ),
    # Also what was deleted from its store, until its rows are gone.
    "a segment": (
        "SELECT segment_id, count(*), sum((size + 4095) / 4096 * 4096) FROM instance WHERE segment_id IS NOT NULL "
        "GROUP BY 1",
        "SELECT id, live_instances, live_bytes FROM segment WHERE live_instances <> 0 OR live_bytes <> 0",
    ),
}


def audit(connection: Connection) -> None:
    for what, (counted, kept) in _COUNTS.items():
        rows, said = (sorted(map(tuple, connection.execute(text(query)))) for query in (counted, kept))
        assert said == rows, f"the counts of {what} are not those of the rows"


_OF_NOTHING = "NOT IN (SELECT id FROM"
_KEYS = (
    "(SELECT CASE WHEN segment_id IS NULL THEN blob_key ELSE key || '@' || segment_offset || '+' || size END AS key, "
    "series.store_id FROM instance JOIN series ON series.id = series_id LEFT JOIN segment ON segment.id = segment_id) "
    "AS keys"
)
# What must not exist → a query that finds it.
_ORPHANS = {
    "a store without its dataset": "SELECT id FROM dicom_store WHERE NOT deleted "
    f"AND dataset_id {_OF_NOTHING} dataset)",
    "a study without its store": f"SELECT id FROM study WHERE store_id {_OF_NOTHING} dicom_store)",
    "a series without its study": f"SELECT id FROM series WHERE study_id {_OF_NOTHING} study)",
    "a series in another store than its study": "SELECT series.id FROM series JOIN study ON study.id = series.study_id "
    "WHERE series.store_id <> study.store_id",
    "an instance without its series": f"SELECT blob_key FROM instance WHERE series_id {_OF_NOTHING} series)",
    "an instance without its header pack": "SELECT blob_key FROM instance WHERE pack_id IS NOT NULL AND pack_id "
    "NOT IN (SELECT id FROM header_pack WHERE header_pack.series_id IN (instance.series_id, 0))",
    "a header pack without its series": "SELECT id FROM header_pack WHERE series_id <> 0 "
    f"AND series_id {_OF_NOTHING} series)",
    "a header pack of several series that no instance uses": "SELECT id FROM header_pack WHERE series_id = 0 "
    "AND id NOT IN (SELECT pack_id FROM instance WHERE pack_id IS NOT NULL)",
    "a header pack that no instance of a living store uses": "SELECT header_pack.id FROM header_pack JOIN series "
    f"ON series.id = header_pack.series_id WHERE series.store_id {_ALIVE} AND header_pack.id NOT IN "
    "(SELECT pack_id FROM instance WHERE pack_id IS NOT NULL)",
    "counts of a series that does not exist": "SELECT series_id FROM series_tally "
    f"WHERE series_id {_OF_NOTHING} series)",
    "requests of a series that does not exist": "SELECT series_id FROM series_request "
    f"WHERE series_id {_OF_NOTHING} series)",
    "counts of a store that does not exist": f"SELECT store_id FROM tally WHERE store_id {_OF_NOTHING} dicom_store)",
    "a term without its study": "SELECT term FROM study_term WHERE NOT EXISTS (SELECT 1 FROM study "
    "WHERE study.id = study_term.study_id AND study.store_id = study_term.store_id)",
    "a modality without its study": "SELECT modality FROM study_modality WHERE NOT EXISTS (SELECT 1 FROM study "
    "WHERE study.id = study_modality.study_id AND study.store_id = study_modality.store_id "
    "AND study.study_date = study_modality.study_date)",
    "texts without their study": "SELECT rowid FROM study_text "
    "WHERE rowid NOT IN (SELECT id FROM study WHERE store_id NOT IN "
    "(SELECT id FROM dicom_store WHERE removed_from IS NOT NULL))",
    "a study of a living store without its texts": f"SELECT id FROM study WHERE store_id {_ALIVE} "
    "AND id NOT IN (SELECT rowid FROM study_text)",
    "a study of a living store without series": f"SELECT id FROM study WHERE store_id {_ALIVE} "
    "AND id NOT IN (SELECT study_id FROM series)",
    "a series of a living store without instances": f"SELECT id FROM series WHERE store_id {_ALIVE} "
    "AND id NOT IN (SELECT series_id FROM instance)",
    "a blob of two instances": f"SELECT key FROM {_KEYS} GROUP BY key HAVING count(*) > 1",
    "garbage that an instance needs": f"SELECT blob_key FROM garbage WHERE blob_key IN (SELECT key FROM {_KEYS} "
    f"WHERE store_id {_ALIVE})",
    "a segment in garbage": "SELECT key FROM segment JOIN garbage ON blob_key = key",
    "garbage inside of a segment that is garbage": "SELECT inside.blob_key FROM garbage inside JOIN garbage whole "
    "ON inside.blob_key LIKE whole.blob_key || '@%'",
    "a sealed segment of which nothing is left": "SELECT key FROM segment WHERE sealed AND live_instances = 0",
    "an instance in a segment that does not exist": "SELECT series_id FROM instance WHERE segment_id IS NOT NULL "
    f"AND segment_id {_OF_NOTHING} segment)",
    "an instance in a segment and outside": "SELECT blob_key FROM instance WHERE (segment_id IS NULL) <> "
    "(segment_offset IS NULL) OR (segment_id IS NULL) = (blob_key = '')",
    "an instance beyond the end of its segment": "SELECT segment_id FROM instance JOIN segment ON id = segment_id "
    "WHERE segment_offset + size > bytes",
    "a segment that nobody will seal": f"SELECT key FROM segment WHERE NOT sealed AND store_id {_OF_NOTHING} "
    "dicom_store)",
    "an operation without its dataset": "SELECT id FROM operation "
    f"WHERE dataset_id <> 0 AND dataset_id {_OF_NOTHING} dataset)",
    "a hidden operation that is not done": "SELECT id FROM operation WHERE dataset_id = 0 AND end_time IS NULL",
    "an entry of a log without its operation": f"SELECT seq FROM failure WHERE operation_id {_OF_NOTHING} operation)",
    "progress without its operation": f"SELECT time FROM progress WHERE operation_id {_OF_NOTHING} operation)",
    "a selection without its operation": f"SELECT series_id FROM selection WHERE operation_id {_OF_NOTHING} operation)",
    "changes of a store that does not exist": "SELECT number FROM change_pack "
    f"WHERE store_id {_OF_NOTHING} dicom_store)",
    "a start of changes of a store that does not exist": "SELECT number FROM change_start "
    f"WHERE store_id {_OF_NOTHING} dicom_store)",
    "a deletion that nobody will tell wholly": "SELECT number FROM change_pack "
    f"WHERE pending {_OF_NOTHING} dicom_store)",
    "a number of changes that is missing": "SELECT a.number FROM change_pack a WHERE part = 0 AND number > 1 "
    f"AND store_id {_ALIVE} AND NOT EXISTS (SELECT 1 FROM change_pack b WHERE b.store_id = a.store_id "
    "AND b.number = a.number - 1) AND NOT EXISTS "
    "(SELECT 1 FROM change_start c WHERE c.store_id = a.store_id AND c.number >= a.number - 1)",
    "a saved search without its store": f"SELECT name FROM saved_search WHERE store_id {_OF_NOTHING} dicom_store)",
}


def audit_orphans(connection: Connection) -> None:
    """No row, in whatever table, belongs to something that does not exist."""
    for what, query in _ORPHANS.items():
        assert connection.execute(text(query)).all() == [], f"there is {what}"


def audit_headers(connection: Connection) -> None:
    """Each instance has the header that says its path, and no pack holds one more: not of what is deleted.

    Packs of a series that is deleted go with it.
    """
    packs = {row.id: (row.series_id, unpack(row.data)) for row in connection.execute(select(header_pack))}
    used: dict[int, list[int]] = defaultdict(list)
    names = study.c.study_instance_uid, series.c.series_instance_uid, instance.c.sop_instance_uid
    rows = select(*names, instance.c.pack_id, instance.c.pack_number).join_from(instance, series).join(study)
    for *uids, pack_id, number in connection.execute(rows.where(instance.c.pack_id.is_not(None))):
        header = packs[pack_id][1][number].decode()
        assert header.split(" ")[0] == path_of((uids[0], uids[1], uids[2])), "an instance has the header of another"
        used[pack_id].append(number)
    alive = select(series.c.id).join(dicom_store, dicom_store.c.id == series.c.store_id)
    kept = {0, *connection.execute(alive.where(dicom_store.c.deleted.is_(False))).scalars()}
    for pack_id, (series_id, entries) in packs.items():
        if series_id in kept:
            filled = [number for number, entry in enumerate(entries) if entry]
            assert sorted(used[pack_id]) == filled, "a pack has headers that no instance has"


def audit_terms(connection: Connection) -> None:
    """What finds a study of a living store is what its row says, and its row says the modalities of its series."""
    alive = select(dicom_store.c.id).where(dicom_store.c.deleted.is_(False))
    studies = connection.execute(select(study).where(study.c.store_id.in_(alive))).all()
    texts = {row[0]: tuple(row[1:]) for row in connection.execute(select(study_text))}
    terms, modalities = set(), set()
    for row in studies:
        every = connection.execute(select(series.c.modality).where(series.c.study_id == row.id)).scalars()
        assert row.modalities == join_modalities(every), "a study has other modalities than its series"
        said = study_said(row)
        terms |= set(terms_of(row.store_id, row.id, said))
        modalities |= {(row.store_id, each, row.study_date, row.id) for each in row.modalities.split("\\") if each}
        wanted = tuple(text_of(field, getattr(said, field)) for field in TEXT_FIELDS)
        assert texts[row.id] == wanted, "a study has other texts than its row"
    requests = set()
    for each in connection.execute(select(series).where(series.c.store_id.in_(alive))).all():
        requests |= {(each.id, *pair, each.store_id) for pair in list_requests(series_said(each).members)}
    living = series_request.c.series_id.in_(select(series.c.id).where(series.c.store_id.in_(alive)))
    assert set(map(tuple, connection.execute(select(series_request).where(living)))) == requests
    for table, rows in ((study_term, terms), (study_modality, modalities)):
        found = connection.execute(select(table).where(table.c.store_id.in_(alive)))
        assert set(map(tuple, found)) == rows, f"{table.name} is not what rows say"
