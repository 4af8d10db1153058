"""``./run bench search``: the time of a search in a small and in a large index, filled without files."""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.load import Plan, run
from benchmarks.machine import work_directory
from benchmarks.service import Service
from gantry.header_packs import pack
from gantry.index.sql import SqlIndex
from gantry.names import DicomStoreName
from gantry.resources import Description, Instance, SeriesAttributes, StudyAttributes

PER_SERIES, SERIES_PER_STUDY = 100, 2
_STORE = DicomStoreName("bench", "us-central1", "bench", "bench")
_BATCH = 2000
_SEARCHES = (
    "/studies?PatientID=P{:07d}",
    "/studies?PatientName=*name{:07d}*",
    "/studies?limit=25",
    "/studies?AccessionNumber=A{:07d}",
)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks search", description=__doc__)
    parser.add_argument("--small", type=int, default=10_000, help="instances (%(default)s)")
    parser.add_argument("--large", type=int, default=1_000_000, help="instances (%(default)s)")
    parser.add_argument("--dir", help="work in a new directory inside this one")
    options = parser.parse_args(arguments)
    found: dict[int, list[float]] = {}
    for count in (options.small, options.large):
        with work_directory(options.dir) as work, Service(work / "data", work / "buckets") as service:
            service.create_store("bench")
            seconds = fill_index(work / "data", count)
            print(f"{count:,} instances written in {seconds:.0f} s ({count / seconds:,.0f}/s)", flush=True)
            found[count] = [_p50(service, path, count) for path in _SEARCHES]
    print(f"\n{'p50 in ms':40}{options.small:>12,}{options.large:>12,}{'ratio':>8}")
    for place, path in enumerate(_SEARCHES):
        one, other = found[options.small][place], found[options.large][place]
        print(f"{path:40}{one:>12.2f}{other:>12.2f}{other / one:>8.2f}")
    return 0


def _p50(service: Service, path: str, count: int) -> float:
    studies = count // (PER_SERIES * SERIES_PER_STUDY)
    chance = random.Random(1)
    paths = [path.format(chance.randrange(studies)) for _ in range(min(200, studies))]
    return run(Plan(service.web("bench"), paths, "application/dicom+json", 1, 3.0)).p50_ms


def fill_index(data: Path, count: int, studies: int = 0, database: str = "") -> float:
    """Write rows for ``count`` instances, a patient for each study; seconds. The blobs they name are not there.

    ``studies`` 0: as many as have SERIES_PER_STUDY series each. ``database``: its address, if it is not in ``data``.
    """
    index = SqlIndex(database or f"sqlite:///{data / 'index.sqlite'}")
    try:
        store_id = index.resources.get_dicom_store(_STORE).id
        start = time.monotonic()
        batch: list[Instance] = []
        for item in instances(count, studies):
            batch.append(item)
            if len(batch) == _BATCH:
                index.uploads.store_instances(store_id, batch)
                batch = []
        if batch:
            index.uploads.store_instances(store_id, batch)
        return time.monotonic() - start
    finally:
        index.close()


def instances(
    count: int,
    studies: int = 0,
    name_of: Callable[[int], str] = lambda study: f"Name{study:07d}^Given{study % 999}",
    per_series: int = PER_SERIES,
) -> Iterator[Instance]:
    chance = random.Random(2)
    studies = studies or count // (per_series * SERIES_PER_STUDY)
    for study in range(studies):
        study_uid = f"2.25.{chance.getrandbits(120)}"
        date = f"20{chance.randrange(100):02d}{1 + chance.randrange(12):02d}{1 + chance.randrange(28):02d}"
        said = StudyAttributes(
            patient_name=name_of(study),
            patient_id=f"P{study:07d}",
            accession_number=f"A{study:07d}",
            study_date=date,
            study_description=f"Description {study % 50}",
            members=f'"00080020":{{"vr":"DA","Value":["{date}"]}},"00100020":{{"vr":"LO","Value":["P{study:07d}"]}}',
        )
        for series in range(count // (per_series * studies)):
            series_uid = f"2.25.{chance.getrandbits(120)}"
            entries = [chance.randbytes(200) for _ in range(per_series)]
            data = pack(entries)
            modality = SeriesAttributes("CT" if series else "MR", str(series), members='"00080060":{"vr":"CS"}')
            for number in range(per_series):
                described = Description(said, modality, number, None, 512, 512, 16, data, per_series, number, 2000)
                uids = study_uid, series_uid, f"2.25.{chance.getrandbits(120)}"
                key = f"main/1/{study}/{series}/{number}"
                yield Instance(
                    *uids, "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", key, 530_000, description=described
                )
