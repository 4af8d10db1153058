"""Which buckets the server may use: rules of its settings, whole operations under them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gantry.errors import InvalidArgument, PermissionDenied
from gantry.seams import BucketUse
from gantry.settings.loading import load_settings
from gantry.storage.bucket_rules import BucketRule, require_access
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import GantryServer

D, E = "projects/p/locations/l/datasets/d", "projects/p/locations/l/datasets/e"
RULES = (
    BucketRule("in-*", read=True),
    BucketRule("out", write=True, prefix="export/", datasets=(D,)),
    BucketRule("s3://lab-?", read=True),
)


@pytest.mark.parametrize(
    "use",
    [
        BucketUse("gs://in-1", "read", "", D),
        BucketUse("s3://lab-1", "read", "", D),
        BucketUse("gs://in-", "read", "any/where", E),
        BucketUse("gs://out", "write", "export/", D),
        BucketUse("gs://out", "write", "export/x/", D),
    ],
)
def test_what_a_rule_allows(use: BucketUse) -> None:
    require_access(RULES, use)  # raises nothing
    require_access((), use)


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (BucketUse("s3://in-1", "read", "", D), "s3://in-1/"),
        (BucketUse("gs://lab-1", "read", "", D), "gs://lab-1/"),
        (BucketUse("gs://in-1", "write", "", D), "storage.objects.create"),
        (BucketUse("gs://other", "read", "", D), "storage.objects.list"),
        (BucketUse("gs://IN-1", "read", "", D), "gs://IN-1/"),
        (BucketUse("gs://xin-1", "read", "", D), "gs://xin-1/"),
        (BucketUse("gs://out", "read", "export/", D), "gives read there"),
        (BucketUse("gs://out", "write", "", D), "gs://out/ "),
        (BucketUse("gs://out", "write", "exported/", D), "gs://out/exported/"),
        (BucketUse("gs://out", "write", "export", D), "gs://out/export "),
        (BucketUse("gs://out", "write", "export/", E), "datasets/e"),
    ],
)
def test_what_no_rule_allows(use: BucketUse, words: str) -> None:
    with pytest.raises(PermissionDenied) as denied:
        require_access(RULES, use)
    assert words in denied.value.message


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({}, "name"),
        ({"name": "b"}, "read = true or write = true"),
        ({"name": "b", "read": "yes"}, "read"),
        ({"name": "b", "read": True, "datasets": D}, "datasets"),
        ({"name": "b", "read": True, "region": "eu"}, "region"),
    ],
)
def test_rules_that_are_not_understood(rule: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        BucketRule.parse(rule)


def test_a_rule_can_be_compared_with_another() -> None:
    """Lists of the file become tuples, and what is not said has its default."""
    rule = BucketRule.parse({"name": "b", "read": True, "datasets": [D]})
    assert rule == BucketRule("b", read=True, datasets=(D,)) and hash(rule)
    assert BucketRule.parse({"name": "b", "write": True}) == BucketRule("b", write=True)


def test_rules_stand_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "gantry.toml"
    path.write_text('[[bucket_rules]]\nname = "in-*"\nread = true\n')
    assert load_settings({}, {}, str(path)).bucket_rules == (RULES[0],)
    with pytest.raises(InvalidArgument, match="bucket_rules"):
        load_settings({}, {"GANTRY_BUCKET_RULES": "in-*"})


@pytest.mark.slow
def test_operations_under_rules(tmp_path: Path) -> None:
    """What is not allowed ends as PERMISSION_DENIED, whether the bucket is there or not; nothing is read or written."""
    rules = (
        '[[bucket_rules]]\nname = "good*"\nread = true\nprefix = "in/"\n[[bucket_rules]]\nname = "out"\nwrite = true\n'
    )
    (tmp_path / "gantry.toml").write_text(rules)
    server = GantryServer(tmp_path / "data", tmp_path / "buckets", env={"GANTRY_CONFIG": str(tmp_path / "gantry.toml")})
    try:
        gantry = Gantry(server)
        for bucket in ("good", "bad", "out"):
            gantry.make_bucket(bucket)
            gantry.put(bucket, "in/a.dcm", make_instance("1.2", "1.3", "1.4"))
        gantry.put("bad", "filter", b"/studies/1.2\n")
        assert "error" not in gantry.import_("gs://good/in/*.dcm")
        denied = [
            gantry.import_(f"gs://{place}") for place in ("bad/in/*.dcm", "none/in/*", "good/**.dcm", "good/a.dcm")
        ]
        denied += [gantry.export("gs://good/in/"), gantry.export("gs://none/x/")]
        denied += [gantry.export("gs://out/", filterConfig={"resourcePathsGcsUri": "gs://bad/filter"})]
        for operation in denied:
            assert operation["error"]["code"] == 7, operation
            assert "bucket_rules" in operation["error"]["message"]
        assert "error" not in gantry.export("gs://out/x")
        assert sorted(gantry.objects("out")) == ["in/a.dcm", "x/1.2/1.3/1.4.dcm"]
        assert sorted(gantry.objects("good")) == ["in/a.dcm"]
    finally:
        server.stop()
