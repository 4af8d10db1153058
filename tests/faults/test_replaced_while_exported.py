"""An instance that is replaced while an operation runs is there at every moment, so it is never left out."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from gantry.operations.attempt import VERBS
from gantry.operations.commits import Totals, commit
from gantry.operations.interruption import go_on
from gantry.resources import Method
from gantry.seams import Seams
from gantry.studies.store import Incoming, store
from gantry.studies.uploads import Uploads
from tests.faults.bare import STORE, Bare, begin, made, upload


def replace(seams: Seams, data: bytes) -> None:
    uploads = Uploads(seams)
    store(seams, uploads, STORE, [Incoming("", iter([data]))], replace=True)
    uploads.close()


@pytest.mark.parametrize("path", ["1.2.1", "1.2.1/series/1.2.1.1", "1.2.1/series/1.2.1.1/instances/1.2.1.1.1"])
def test_the_only_instance_that_a_filter_file_names(tmp_path: Path, path: str) -> None:
    bare = Bare(tmp_path)
    with bare.opened() as seams:
        buckets = tmp_path / "buckets"
        for name in ("source", "out"):
            (buckets / name).mkdir()
        (buckets / "source" / "filter").write_text(f"/studies/{path}\n")
        upload(seams, made(1, 1), made(2, 1))
        begin(seams, Method.EXPORT_DICOM_DATA, {"uri_prefix": "gs://out/", "filter_uri": "gs://source/filter"})
        operation = seams.index.operations.claim_operation("one")
        assert operation is not None
        with closing(VERBS[operation.method](seams, operation, go_on)) as batches:
            commit(seams, operation, "one", next(batches), Totals())
            replace(seams, new := made(1, 1, 3000))
            for batch in batches:
                commit(seams, operation, "one", batch, Totals())
        assert seams.index.operations.get_operation(operation.name).counter.success == 1
    assert (buckets / "out/1.2.1/1.2.1.1/1.2.1.1.1.dcm").read_bytes() == new
