"""What every index promises of searches."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from gantry.errors import NotFound
from gantry.header_packs import pack, unpack
from gantry.index.sql import SqlIndex
from gantry.names import DicomStoreName, ResourcePath
from gantry.queries import Level, Match, Operator, Query
from gantry.resources import (
    Batch,
    Dataset,
    Description,
    DicomStore,
    Instance,
    Method,
    SeriesAttributes,
    StudyAttributes,
)
from tests.index import values
from tests.index.values import DATASET, RUNNER, STORE, found_by

NAMES = ("Doe^John", "Müller^Jürgen", "Yamada^Tarou=山田^太郎=やまだ^たろう", "O'Neill [x]^Ann", "", "van der Berg^Jo")
WORDS = ("CT Brain", "MR knee left", "Thorax", "", "50% [a]")
STUDIES = 60
ROOT = ResourcePath("")


def study(number: int) -> StudyAttributes:
    """Every field by a rhythm of its own."""
    return StudyAttributes(
        patient_name=NAMES[number % 6],
        patient_id=f"P{number % 20:03d}",
        accession_number=f"A{number:04d}",
        referring_physician_name=NAMES[(number + 2) % 6],
        study_date=f"202401{1 + number % 28:02d}" if number % 10 else "",
        study_time=f"{number % 24:02d}3015.25",
        study_description=WORDS[number % 5],
        study_id=str(number % 7),
        members=f'"x":{number}',
        more_members=f'"y":{number}',
    )


def instances() -> list[Instance]:
    """Two series of two instances in each study; CT in all, MR in every fifth, SR in one."""
    found = []
    for number in range(STUDIES):
        for series, modality in ((1, "CT"), (2, "SR" if number == 33 else "MR" if number % 5 == 0 else "CT")):
            data = pack([f"{number}.{series}.{item}".encode() for item in range(2)])
            for item in range(2):
                said = SeriesAttributes(modality, str(series), f"Series {series}", "20240101", '"s":1', '"t":1')
                described = Description(study(number), said, item + 1, None, 4, 6, 8, data, 2, item, 10)
                uids = f"1.{number}", f"1.{number}.{series}", f"1.{number}.{series}.{item}"
                found.append(Instance(*uids, "1.2.840.1", "1.2.840.2", f"b/{'.'.join(uids)}", 5, description=described))
    random.Random(1).shuffle(found)
    return found


def query(level: Level, *matches: tuple[str, Operator, Any], path: ResourcePath = ROOT, **how: int) -> Query:
    """Conditions by field; their level is found by the field."""
    levels = {"modality": Level.SERIES, "series_instance_uid": Level.SERIES, "sop_instance_uid": Level.INSTANCE}
    made = (
        Match(levels.get(field, Level.STUDY), field, operator, (values,) if isinstance(values, str) else values)
        for field, operator, values in matches
    )
    return Query(level, path, tuple(made), **how)


class Searches:
    """A store with studies, and searches in it."""

    @pytest.fixture
    def filled(self, index: SqlIndex) -> DicomStoreName:
        """The store STORE with ``instances()``, and another one with the same studies and others."""
        index.resources.create_dataset(Dataset(DATASET), "v1")
        for name in (STORE, DicomStoreName("p", "us-central1", "d", "other")):
            index.resources.create_dicom_store(DicomStore(name))
            store_id = index.resources.get_dicom_store(name).id
            items = instances()
            for start in range(0, len(items), 50):
                assert index.uploads.store_instances(store_id, items[start : start + 50]) == set()
        return STORE

    def studies(self, index: SqlIndex, *matches: Any, **how: Any) -> list[int]:
        found = index.search.search_studies(STORE, query(Level.STUDY, *matches, **{"limit": 1000} | how))
        return [int(row.study_instance_uid.split(".")[1]) for row in found]

    def check(self, index: SqlIndex, expected: Any, *matches: Any) -> None:
        """Exactly the studies for which ``expected(attributes)`` holds, each once, latest first."""
        wanted = [number for number in range(STUDIES) if expected(study(number))]
        found = self.studies(index, *matches)
        assert sorted(found) == wanted
        dates = [study(number).study_date for number in found]
        assert dates == sorted(dates, reverse=True)


class TestSearching(Searches):
    def test_every_study_once_and_latest_first(self, index: SqlIndex, filled: DicomStoreName) -> None:
        self.check(index, lambda _: True)

    def test_pages_make_up_the_whole(self, index: SqlIndex, filled: DicomStoreName) -> None:
        whole = self.studies(index)
        pages = [self.studies(index, limit=7, offset=start) for start in range(0, STUDIES + 7, 7)]
        assert [number for page in pages for number in page] == whole
        assert self.studies(index, limit=0) == []

    def test_a_row_says_what_the_study_is(self, index: SqlIndex, filled: DicomStoreName) -> None:
        (row,) = index.search.search_studies(STORE, query(Level.STUDY, ("accession_number", Operator.EQUALS, "A0005")))
        assert row == ("1.5", '"x":5', '"y":5', "CT\\MR", 2, 4)

    @pytest.mark.parametrize("field", ["patient_id", "accession_number", "study_description", "study_id"])
    def test_equal(self, index: SqlIndex, filled: DicomStoreName, field: str) -> None:
        value = getattr(study(7), field)
        self.check(index, lambda said: getattr(said, field) == value, (field, Operator.EQUALS, value))
        assert self.studies(index, (field, Operator.EQUALS, value.lower() + "x")) == []

    def test_one_of_several(self, index: SqlIndex, filled: DicomStoreName) -> None:
        found = self.studies(index, ("study_instance_uid", Operator.EQUALS, ("1.3", "1.77", "1.9")))
        assert sorted(found) == [3, 9]

    @pytest.mark.parametrize("values", [("A003",), ("A00", "A004"), ("a",), ("A0059", "A9")])
    def test_the_beginning_of_an_id(self, index: SqlIndex, filled: DicomStoreName, values: tuple[str, ...]) -> None:
        self.check(
            index, lambda said: said.accession_number.startswith(values), ("accession_number", Operator.PREFIX, values)
        )

    def test_what_is_found_is_counted(self, index: SqlIndex, filled: DicomStoreName) -> None:
        of_all = index.search.count_studies(STORE, query(Level.STUDY, limit=1000))
        assert of_all == (STUDIES, 2 * STUDIES, 4 * STUDIES)
        assert index.search.count_studies(STORE, query(Level.STUDY, limit=7)) == (7, 14, 28)
        modality = query(Level.STUDY, ("modalities_in_study", Operator.EQUALS, "MR"), limit=1000)
        assert index.search.count_studies(STORE, modality).studies == len(range(0, STUDIES, 5))
        nothing = query(Level.STUDY, ("patient_id", Operator.EQUALS, "none"), limit=1000)
        assert index.search.count_studies(STORE, nothing) == (0, 0, 0)

    @pytest.mark.parametrize("first, last", [("20240105", "20240110"), ("20240120", ""), ("", "20240103")])
    def test_dates(self, index: SqlIndex, filled: DicomStoreName, first: str, last: str) -> None:
        def within(said: StudyAttributes) -> bool:
            return bool(said.study_date) and first <= said.study_date <= (last or "9")

        self.check(index, within, ("study_date", Operator.RANGE, (first, last)))

    def test_times_are_as_precise_as_they_are_asked_for(self, index: SqlIndex, filled: DicomStoreName) -> None:
        """A range up to 10 holds all of that hour (PS3.4 §C.2.2.2.5)."""

        def within(said: StudyAttributes) -> bool:
            return "08" <= said.study_time[:2] <= "10"

        self.check(index, within, ("study_time", Operator.RANGE, ("08", "10")))

    @pytest.mark.parametrize(
        "name, owner", [("doe^john", 0), ("MULLER^jurgen", 1), ("山田^太郎", 2), ("やまだ^たろう^^", 2)]
    )
    def test_names_without_case_and_accents_by_group(
        self, index: SqlIndex, filled: DicomStoreName, name: str, owner: int
    ) -> None:
        self.check(index, lambda said: said.patient_name == NAMES[owner], ("patient_name", Operator.EQUALS, name))

    def test_a_name_must_be_whole(self, index: SqlIndex, filled: DicomStoreName) -> None:
        assert self.studies(index, ("patient_name", Operator.EQUALS, "doe")) == []
        assert self.studies(index, ("patient_name", Operator.EQUALS, "doe^john=山田^太郎")) == []

    @pytest.mark.parametrize(
        "pattern, owners",
        [
            ("doe*", [0]),
            ("*john*", [0]),
            ("*^j*", [0, 1, 5]),
            ("d?e^*", [0]),
            ("?oe^john", [0]),
            ("*太郎", [2]),
            ("o'neill [[]x]*", []),
            ("o'neill [x]*", [3]),
            ("*[x]*", [3]),
            ("*o*", [0, 2, 3, 5]),
            ("oe*", []),
            ("*ohn", [0]),
            ("*joh", []),
            ("yamada^tarou", [2]),
        ],
    )
    def test_wildcards_in_names(self, index: SqlIndex, filled: DicomStoreName, pattern: str, owners: list[int]) -> None:
        """``*`` and ``?`` (PS3.4 §C.2.2.2.4); what GLOB takes for more than that is a letter here."""
        wanted = [NAMES[owner] for owner in owners]
        self.check(index, lambda said: said.patient_name in wanted, ("patient_name", Operator.WILDCARD, pattern))

    @pytest.mark.parametrize(
        "pattern, words", [("*knee*", [1]), ("ct*", [0]), ("*[a]", [4]), ("50%*", [4]), ("*t*", [0, 1, 2])]
    )
    def test_wildcards_in_texts(self, index: SqlIndex, filled: DicomStoreName, pattern: str, words: list[int]) -> None:
        wanted = [WORDS[word] for word in words]
        match = ("study_description", Operator.WILDCARD, pattern)
        self.check(index, lambda said: said.study_description in wanted, match)

    @pytest.mark.parametrize(
        "words, owners", [(("jo",), [0, 5]), (("ohn",), []), (("der", "tarou"), [2, 5]), (("山",), [2])]
    )
    def test_fuzzy_names(
        self, index: SqlIndex, filled: DicomStoreName, words: tuple[str, ...], owners: list[int]
    ) -> None:
        """One of the words begins one of the stored words (§10.4.3)."""
        wanted = [NAMES[owner] for owner in owners]
        self.check(index, lambda said: said.patient_name in wanted, ("patient_name", Operator.WORDS, words))

    def test_modalities(self, index: SqlIndex, filled: DicomStoreName) -> None:
        assert self.studies(index, ("modalities_in_study", Operator.EQUALS, ("SR",))) == [33]
        found = self.studies(index, ("modalities_in_study", Operator.EQUALS, ("MR", "SR")))
        assert sorted(found) == sorted([33, *range(0, STUDIES, 5)])
        both = ("modalities_in_study", Operator.EQUALS, ("MR",)), ("patient_name", Operator.EQUALS, "doe^john")
        assert sorted(self.studies(index, *both)) == [0, 30]
        assert self.studies(index, ("modalities_in_study", Operator.EQUALS, ("MR",)), limit=3) == found_first(3)

    def test_modalities_by_patterns(self, index: SqlIndex, filled: DicomStoreName) -> None:
        """A pattern matches one modality, never several of a study together; any of the patterns is enough."""
        for patterns, expected in (
            (("m*",), range(0, STUDIES, 5)),
            (("?r",), sorted([33, *range(0, STUDIES, 5)])),
            (("c*", "x*"), range(STUDIES)),
            (("c*r",), ()),
            (("[m]*",), ()),
            (("s?", "no"), (33,)),
        ):
            match = ("modalities_in_study", Operator.WILDCARD, patterns)
            assert sorted(self.studies(index, match)) == list(expected), patterns
            both = match, ("patient_id", Operator.WILDCARD, "*")
            assert sorted(self.studies(index, *both)) == list(expected), patterns
        match = ("modalities_in_study", Operator.WILDCARD, ("m*",))
        assert self.studies(index, match, limit=3) == found_first(3)
        assert sorted(self.studies(index, match, ("patient_name", Operator.EQUALS, "doe^john"))) == [0, 30]

    def test_pages_by_key_make_up_the_whole(self, index: SqlIndex, filled: DicomStoreName) -> None:
        """Of one study, whatever the length of a page."""
        path = ResourcePath("1.5")
        for level, search, key in (
            (Level.SERIES, index.search.search_series, slice(1, 2)),
            (Level.INSTANCE, index.search.search_instances, slice(1, 3)),
        ):
            whole = search(STORE, query(level, path=path, limit=100))
            for size in (1, 3):
                found: list[Any] = []
                after: tuple[str, ...] = ()
                while page := search(STORE, replace(query(level, path=path, limit=size), after=after)):
                    found += page
                    after = tuple(page[-1][key])
                assert found == whole and len(whole) in (2, 4)

    def test_series_of_a_study_and_of_a_store(self, index: SqlIndex, filled: DicomStoreName) -> None:
        found = index.search.search_series(STORE, query(Level.SERIES, path=ResourcePath("1.5")))
        assert [row.series_instance_uid for row in found] == ["1.5.1", "1.5.2"]
        assert found[0][:5] == ("1.5", "1.5.1", '"s":1', '"t":1', 2)
        (its_study,) = index.search.search_studies(
            STORE, query(Level.STUDY, ("study_instance_uid", Operator.EQUALS, ("1.5",)))
        )
        assert found[0].study == its_study and its_study[:3] == ("1.5", '"x":5', '"y":5')
        every = index.search.search_series(STORE, query(Level.SERIES, limit=1000))
        assert [row.series_instance_uid for row in every] == sorted(
            f"1.{n}.{s}" for n in range(STUDIES) for s in (1, 2)
        )
        (only,) = index.search.search_series(STORE, query(Level.SERIES, ("modality", Operator.EQUALS, ("SR",))))
        assert only.series_instance_uid == "1.33.2"
        by_patient = query(
            Level.SERIES, ("patient_id", Operator.EQUALS, "P003"), ("modality", Operator.EQUALS, ("CT",))
        )
        assert len(index.search.search_series(STORE, by_patient)) == 6

    def test_instances_at_every_depth(self, index: SqlIndex, filled: DicomStoreName) -> None:
        for path, count in ((ROOT, 240), (ResourcePath("1.5"), 4), (ResourcePath("1.5", "1.5.2"), 2)):
            found = index.search.search_instances(STORE, query(Level.INSTANCE, path=path, limit=1000))
            assert len(found) == count
            assert [row.uids[1:] for row in found] == sorted(row.uids[1:] for row in found)
        (one,) = index.search.search_instances(
            STORE, query(Level.INSTANCE, ("sop_instance_uid", Operator.EQUALS, ("1.7.2.1",)))
        )
        assert one[:7] == ("1.7", "1.7.2", "1.7.2.1", "1.2.840.1", "1.2.840.2", one.blob_key, 5)
        assert (one.instance_number, one.number_of_frames, one.rows, one.columns) == (2, None, 4, 6)

    def test_nobody_finds_what_is_in_another_store(self, index: SqlIndex, filled: DicomStoreName) -> None:
        index.resources.delete_dicom_store(DicomStoreName("p", "us-central1", "d", "other"))
        with pytest.raises(NotFound):
            index.search.search_studies(DicomStoreName("p", "us-central1", "d", "other"), query(Level.STUDY))
        assert len(self.studies(index)) == STUDIES

    # What goes along with changes -------------------------------------------------------------------------------------

    def test_what_is_deleted_is_not_found(self, index: SqlIndex, filled: DicomStoreName) -> None:
        index.deletion.delete_instance(STORE, ResourcePath("1.0", "1.0.2", "1.0.2.0"))
        (row,) = index.search.search_studies(STORE, query(Level.STUDY, ("accession_number", Operator.EQUALS, "A0000")))
        assert row[3:] == ("CT\\MR", 2, 3)
        index.deletion.delete_instance(STORE, ResourcePath("1.0", "1.0.2", "1.0.2.1"))
        (row,) = index.search.search_studies(STORE, query(Level.STUDY, ("accession_number", Operator.EQUALS, "A0000")))
        assert row[3:] == ("CT", 1, 2)
        assert 0 not in self.studies(index, ("modalities_in_study", Operator.EQUALS, ("MR",)))
        for item in range(2):
            index.deletion.delete_instance(STORE, ResourcePath("1.0", "1.0.1", f"1.0.1.{item}"))
        for match in (
            ("patient_name", Operator.EQUALS, "doe^john"),
            ("patient_name", Operator.WILDCARD, "*john*"),
            ("patient_name", Operator.WORDS, ("john",)),
            ("modalities_in_study", Operator.EQUALS, ("CT",)),
        ):
            found = self.studies(index, match)
            assert 0 not in found and len(found) >= 9
        assert self.left(index, 1) == self.left(index, 2) - 1

    def left(self, index: SqlIndex, store_id: int) -> int:
        """Studies that the tables beside ``study`` know, which must all say the same."""
        counts = []
        with index.database.engine.connect() as connection:
            for text in (
                "SELECT count(DISTINCT study_id) FROM study_term WHERE kind = 2 AND term IN ('john', 'doe') AND ",
                "SELECT count(*) FROM study WHERE patient_name = 'Doe^John' AND ",
            ):
                counts.append(connection.exec_driver_sql(f"{text} store_id = {store_id}").scalar())
            texts = connection.exec_driver_sql(
                "SELECT count(*) FROM study_text JOIN study ON study.id = study_text.rowid "
                f"WHERE study_text.patient_name = '=doe^john=' AND store_id = {store_id}"
            ).scalar()
        assert counts == [texts, texts]
        return int(texts or 0)

    def test_purging_a_store_leaves_nothing(self, index: SqlIndex, filled: DicomStoreName) -> None:
        index.resources.delete_dicom_store(STORE)
        while not index.garbage.purge_store(1, 50):
            pass
        with index.database.engine.connect() as connection:
            for table in ("study", "study_term", "study_modality", "series"):
                found = connection.exec_driver_sql(f"SELECT DISTINCT store_id FROM {table}").scalars().all()
                assert found == [2], table
            assert connection.exec_driver_sql("SELECT count(*) FROM study_text").scalar() == STUDIES
            assert connection.exec_driver_sql("SELECT count(*) FROM header_pack").scalar() == self.packs(index)

    def packs(self, index: SqlIndex) -> int:
        with index.database.engine.connect() as connection:
            found = connection.exec_driver_sql("SELECT count(DISTINCT pack_id) FROM instance").scalar()
        return int(found or 0)

    # Headers ----------------------------------------------------------------------------------------------------------

    def header(self, index: SqlIndex, path: ResourcePath) -> bytes:
        (row,) = index.instances.list_below(STORE, path)
        assert row.pack_id is not None and row.pack_number is not None
        return unpack(index.instances.get_header_packs([row.pack_id])[row.pack_id])[row.pack_number]

    def test_every_instance_has_its_own_header(self, index: SqlIndex, filled: DicomStoreName) -> None:
        rows = list(index.instances.list_below(STORE, ResourcePath("1.5")))
        assert rows
        for row in rows:
            assert self.header(index, ResourcePath(*row.uids)).decode() == row.sop_instance_uid.removeprefix("1.")

    def test_deleting_an_instance_takes_its_header_and_no_other(self, index: SqlIndex, filled: DicomStoreName) -> None:
        gone = ResourcePath("1.5", "1.5.2", "1.5.2.0")
        (row,) = index.instances.list_below(STORE, gone)
        index.deletion.delete_instance(STORE, gone)
        assert self.header(index, ResourcePath("1.5", "1.5.2", "1.5.2.1")) == b"5.2.1"
        assert b"5.2.0" not in self.all_headers(index, store_id=1)
        assert row.pack_id is not None

    def all_headers(self, index: SqlIndex, store_id: int) -> set[bytes]:
        with index.database.engine.connect() as connection:
            found = connection.exec_driver_sql(
                "SELECT data FROM header_pack JOIN series ON series.id = series_id WHERE store_id = " + str(store_id)
            )
            return {entry for (data,) in found for entry in unpack(data)}

    def test_a_pack_holds_no_header_of_an_instance_that_was_refused(
        self, index: SqlIndex, filled: DicomStoreName
    ) -> None:
        """Two instances share a pack, and one of them is there already."""
        data = pack([b"new", b"refused"])
        said = instances()[0].description
        assert said is not None
        items = [
            Instance(
                "1.5", "1.5.1", uid, "1.2", "1.2", f"c/{uid}", 1, description=said._replace(pack=data, number=place)
            )
            for place, uid in enumerate(("1.5.1.7", "1.5.1.0"))
        ]
        assert index.uploads.store_instances(1, items) == {("1.5", "1.5.1", "1.5.1.0")}
        assert self.header(index, ResourcePath("1.5", "1.5.1", "1.5.1.7")) == b"new"
        assert b"refused" not in self.all_headers(index, store_id=1)

    def test_a_store_that_is_deleted_takes_nothing(self, index: SqlIndex, filled: DicomStoreName) -> None:
        store_id = index.resources.get_dicom_store(STORE).id
        index.resources.delete_dicom_store(STORE)
        item = Instance("1.5", "1.5.1", "1.5.1.9", "1.2", "1.2", "c/new", 1)
        for call in (
            lambda: index.uploads.store_instances(store_id, [item]),
            lambda: index.uploads.begin_upload(store_id),
        ):
            with pytest.raises(NotFound, match="deleted"):
                call()

    def test_replacing_changes_all_that_was_known(self, index: SqlIndex, filled: DicomStoreName) -> None:
        said = instances()[0].description
        assert said is not None
        data = pack([b"new"])
        new = said._replace(pack=data, packed=1, number=0, study=study(2), instance_number=77)
        item = Instance("1.5", "1.5.1", "1.5.1.0", "1.9", "1.9", "c/new", 99, description=new)
        (before,) = index.instances.list_below(STORE, ResourcePath(*item.uids))
        assert index.uploads.store_instances(1, [item], replace=True) == set()
        (row,) = index.instances.list_below(STORE, ResourcePath(*item.uids))
        assert (row.blob_key, row.size, row.instance_number) == ("c/new", 99, 77)
        assert before.blob_key in index.garbage.list_blobs()
        assert self.header(index, ResourcePath(*item.uids)) == b"new"
        assert index.metrics.get_metrics(STORE).instances == 240
        (found,) = index.search.search_studies(
            STORE, query(Level.STUDY, ("accession_number", Operator.EQUALS, "A0005"))
        )
        assert found.instance_count == 4

    def test_walks_of_many_pages(
        self, index: SqlIndex, filled: DicomStoreName, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = [row.uids for row in index.instances.list_below(STORE, ResourcePath("1.5"))]
        assert len(whole) == 4
        operation = index.operations.create_operation(DATASET, "v1", Method.IMPORT_DICOM_DATA, {}, str(STORE))
        index.operations.claim_operation(RUNNER)
        many = tuple(Instance("1.5", f"1.5.{n % 7}", f"1.5.9.{n}", "1.2", "1.2", f"d/{n}", 1) for n in range(3000))
        index.operations.commit_batch(index.operations.get_operation(operation.name), RUNNER, Batch("a", many))
        found = [row.uids for row in index.instances.list_below(STORE, ResourcePath("1.5"))]
        assert len(found) == 3004 and found == sorted(set(found))
        one = [row.uids for row in index.instances.list_below(STORE, ResourcePath("1.5", "1.5.3"))]
        assert one == [uids for uids in found if uids[1] == "1.5.3"]
        assert index.instances.list_transfer_syntaxes(STORE, ResourcePath("1.5", "1.5.3")) == ["1.2"]
        for path in (ResourcePath("1.99"), ResourcePath("1.5", "1.99"), ResourcePath("1.5", "1.5.1", "9")):
            with pytest.raises(NotFound, match="does not exist"):
                index.instances.list_below(STORE, path)


def found_first(count: int) -> list[int]:
    """Studies with MR, latest first."""
    order = sorted(range(0, STUDIES, 5), key=lambda number: study(number).study_date, reverse=True)
    return order[:count]


@pytest.mark.parametrize("together", [True, False])
def test_what_the_first_instance_does_not_say_is_of_those_after_it(
    index: SqlIndex, store: DicomStore, together: bool
) -> None:
    """Whether they come in one batch, where the study is new, or one after the other."""
    of_series = '"00180015":{"vr":"CS","Value":["HIP"]}'
    first = values.said(values.item(1), StudyAttributes("Doe^John", "P1"), SeriesAttributes("CT"))
    later = values.said(
        values.item(2), StudyAttributes("Doe^John", "P1", "A1"), SeriesAttributes("CT", "7", more_members=of_series)
    )
    for batch in [[first, later]] if together else [[first], [later]]:
        index.uploads.store_instances(store.id, batch)
    assert [found.study_instance_uid for found in found_by(index, "accession_number", Operator.EQUALS, "A1")] == ["1.2"]
    (found,) = index.search.search_series(STORE, Query(Level.SERIES, ROOT, limit=10))
    assert found.more_members == of_series
