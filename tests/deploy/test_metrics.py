"""The metrics of a server: what they count, and that every name in the docs and the dashboard is one of them."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.cluster import RUNNER, WEB, Cluster, clusters
from tests.support.dicom import make_instance
from tests.support.server import GantryServer, counts

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "howto" / "metrics.md").read_text(encoding="utf-8")
FROM_INDEX = {
    *("gantry_index_look_seconds", "gantry_queue_unclaimed", "gantry_queue_claimed", "gantry_queue_oldest_seconds"),
    *("gantry_servers_live", "gantry_changes_kept", "gantry_changes_oldest_seconds", "gantry_index_bytes"),
    *("gantry_store_instances", "gantry_store_bytes"),
}
_FAILED = 3

Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]


def scrape(server: GantryServer) -> Samples:
    """By name, then by labels."""
    answer = server.request("GET", "metrics")
    assert answer.status_code == 200
    found: Samples = {}
    for family in text_string_to_metric_families(answer.text):
        for each in family.samples:
            found.setdefault(each.name, {})[tuple(sorted(each.labels.items()))] = each.value
    return found


def value(server: GantryServer, name: str, **labels: str) -> float | None:
    return scrape(server).get(name, {}).get(tuple(sorted(labels.items())))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A replica and a runner that has run an import with some failures."""
    with clusters(tmp_path_factory.mktemp("metrics")) as make:
        made = make()
        web, _ = made.start("web", WEB), made.start("runner", RUNNER)
        objects = {f"{each}.dcm": make_instance("1.2", "1.2.1", f"1.3.{each}") for each in range(20)}
        objects |= {f"broken-{each}.dcm": b"no DICOM" for each in range(_FAILED)}
        done = web.wait(web.import_(web.create_store("d", "s"), f"{made.fill(objects)}/**"))
        assert counts(done) == (20, _FAILED)
        yield made


def make_known(samples: Samples) -> set[str]:
    """Without what the Prometheus client adds to a counter or histogram of its own."""
    return {name for name in samples if name.startswith("gantry_") and not name.endswith("_created")}


def test_every_name_of_the_page_and_the_dashboard_is_exposed_and_none_is_left_out(cluster: Cluster) -> None:
    exposed = make_known(scrape(cluster.servers["runner"])) | {"gantry_operations_waiting"}  # where one waits
    described = set(re.findall(r"^\| `(gantry_\w+)`", PAGE, re.MULTILINE))
    assert described == {re.sub(r"_(bucket|count|sum)$", "", name) for name in exposed}
    assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in re.findall(r"gantry_\w+", PAGE)} <= described
    dashboard = json.loads((DOCS / "deploy" / "grafana.json").read_text(encoding="utf-8"))
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"gantry_\w+", target["expr"])
    }
    assert asked <= exposed
    assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in asked} == described


def test_labels_are_those_of_the_page(cluster: Cluster) -> None:
    compared = 0
    for name, labels in re.findall(r"^\| `(gantry_\w+)` \| \w+ \| ([^|]*) \|", PAGE, re.MULTILINE):
        named = set(re.findall(r"`(\w+)`", labels))
        for sample, series in scrape(cluster.servers["runner"]).items():
            if re.fullmatch(f"{name}(_bucket|_count|_sum)?", sample):
                assert all({key for key, _ in each} - {"le"} == named for each in series), sample
                compared += len(series)
    assert compared > 20


def test_what_was_done_is_counted_where_it_was_done(cluster: Cluster) -> None:
    runner, web = cluster.servers["runner"], cluster.servers["web"]
    method = "ImportDicomData"
    failures = scrape(runner)["gantry_failures_total"].items()
    codes = {(dict(labels)["code"], dict(labels)["reason"]): count for labels, count in failures}
    assert codes == {("INVALID_ARGUMENT", "NOT_DICOM"): _FAILED}
    assert value(runner, "gantry_objects_total", method=method, outcome="failure") == _FAILED
    batches = value(runner, "gantry_batch_commit_seconds_count", method=method)
    assert batches and batches == value(runner, "gantry_batch_commit_seconds_bucket", method=method, le="+Inf")
    assert "gantry_failures_total" not in scrape(web)


def test_requests_to_buckets_are_counted_those_of_workers_too(cluster: Cluster) -> None:
    runner, name = cluster.servers["runner"], "gantry_bucket_request_seconds"
    asked = value(runner, f"{name}_count", provider="s3", outcome="answered")
    assert asked and asked >= 20 + _FAILED  # each object is read by a worker
    assert asked == value(runner, f"{name}_bucket", provider="s3", outcome="answered", le="+Inf")
    assert value(runner, f"{name}_sum", provider="s3", outcome="answered")


def test_stores_the_index_disks_and_workers_are_measured(cluster: Cluster) -> None:
    samples = scrape(cluster.servers["runner"])
    (name,) = [labels for labels in samples["gantry_store_instances"] if labels[0][1].endswith("/d/dicomStores/s")]
    assert samples["gantry_store_instances"][name] == 20
    assert samples["gantry_store_bytes"][name] == sum(len(make_instance("1.2", "1.2.1", f"1.3.{n}")) for n in range(20))
    assert samples["gantry_index_bytes"][()] > 100_000
    for place in ("data", "buckets"):
        free, size = (samples[f"gantry_disk_{kind}_bytes"][(("place", place),)] for kind in ("free", "size"))
        assert 0 < free <= size
    assert samples["gantry_workers"][(("pool", "operations"),)] >= 1
    assert samples["gantry_worker_deaths_total"] == {(("pool", "operations"),): 0, (("pool", "pixels"),): 0}


def test_requests_are_counted_by_kind_and_status(cluster: Cluster) -> None:
    web = cluster.servers["web"]

    def count(kind: str, status: str) -> float:
        return value(web, "gantry_request_seconds_count", kind=kind, status=status) or 0

    before, sent = count("api", "4xx"), value(web, "gantry_sent_bytes_total", kind="api") or 0
    assert web.request("GET", "v1/projects/p/locations/nowhere/datasets/none").status_code == 404
    web.request("GET", "no/such/page")
    assert count("api", "4xx") == before + 1
    assert (value(web, "gantry_sent_bytes_total", kind="api") or 0) > sent
    assert count("other", "4xx") >= 1 and count("health", "2xx") >= 1
    assert value(web, "gantry_received_bytes_total", kind="api")
    assert value(web, "gantry_requests_running") == 1  # this one


def test_the_role_and_who_is_alive(cluster: Cluster) -> None:
    for name, role in (("web", "replica"), ("runner", "runner")):
        samples = scrape(cluster.servers[name])
        assert [dict(labels)["role"] for labels in samples["gantry_server_info"]] == [role]
        assert samples["gantry_servers_live"] == {(("runs", "true"),): 1, (("runs", "false"),): 1}
        assert 0 <= samples["gantry_sign_of_life_age_seconds"][()] < 60


@pytest.mark.slow
def test_what_nobody_has_claimed_is_the_queue(cluster: Cluster) -> None:
    web, runner = cluster.servers["web"], cluster.servers["runner"]
    store, bucket = web.create_store("d", "queue"), cluster.fill({"a.dcm": make_instance()})
    runner.stop()
    names = [web.import_(store, f"{bucket}/**") for _ in range(2)]
    assert value(web, "gantry_queue_unclaimed") == 2
    assert value(web, "gantry_queue_claimed") == 0
    web.wait_until(lambda: (value(web, "gantry_queue_oldest_seconds") or 0) > 0.5)
    runner.start()
    for name in names:
        web.wait(name)
    assert value(web, "gantry_queue_unclaimed") == 0
    assert value(web, "gantry_queue_oldest_seconds") == 0
    with cluster.s3.fail("503 SlowDown", methods=["ListObjectsV2"]):
        name = web.import_(store, f"{bucket}/**")
        web.wait_until(lambda: value(web, "gantry_queue_claimed") == 1)
        assert value(web, "gantry_queue_unclaimed") == 0
    web.wait(name)
    assert value(web, "gantry_queue_claimed") == 0
    assert value(runner, "gantry_bucket_request_seconds_count", provider="s3", outcome="failed")


def test_a_database_that_is_away_takes_its_own_series_alone(cluster: Cluster) -> None:
    web = cluster.servers["web"]
    before = make_known(scrape(web))
    cluster.postgres.stop()
    try:
        samples = scrape(web)
        assert samples["gantry_index_up"] == {(): 0}
        assert make_known(samples) == before - FROM_INDEX
    finally:
        cluster.postgres.start()
    web.wait_until(lambda: value(web, "gantry_index_up") == 1)
    assert make_known(scrape(web)) == before


@pytest.mark.slow
def test_a_database_that_hangs_is_not_waited_for(cluster: Cluster) -> None:
    web = cluster.servers["web"]
    pids = [int(pid) for (pid,) in cluster.query("SELECT pid FROM pg_stat_activity WHERE datname IS NOT NULL")]
    postmaster = int((cluster.postgres.directory / "data" / "postmaster.pid").read_text().split()[0])
    stopped = [postmaster, *pids]
    for pid in stopped:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        assert value(web, "gantry_index_up") == 0  # a scrape that waits would meet the timeout of the client
    finally:
        for pid in stopped:
            with suppress(ProcessLookupError):  # the connection of the query above has ended since
                os.kill(pid, signal.SIGCONT)
    web.wait_until(lambda: value(web, "gantry_index_up") == 1)


def test_who_has_no_token_is_refused_and_others_are_not_while_the_database_is_away(cluster: Cluster) -> None:
    tokens = cluster.home / "tokens"
    tokens.write_text("the-token-of-prometheus user:prometheus@example.org\n")
    tokens.chmod(0o600)
    env = {"GANTRY_CONFIG": str(cluster.blobs.config), "GANTRY_DATABASE": cluster.database}
    env |= {"GANTRY_AUTH": "required", "GANTRY_TOKENS_FILE": str(tokens), "GANTRY_ADMINS": "user:a@example.org"}
    closed = GantryServer(cluster.home / "closed", cluster.home / "buckets", env=env, command=WEB)
    headers = {"authorization": "Bearer the-token-of-prometheus"}
    try:
        assert closed.request("GET", "metrics").status_code == 401
        assert "gantry_index_up 1.0" in closed.request("GET", "metrics", headers=headers).text
        cluster.postgres.stop()
        try:
            answer = closed.request("GET", "metrics", headers=headers)
            assert answer.status_code == 200
            assert "gantry_index_up 0.0" in answer.text
            assert closed.request("GET", "metrics").status_code in (401, 503)
        finally:
            cluster.postgres.start()
        closed.wait_until(lambda: "gantry_index_up 1.0" in closed.request("GET", "metrics", headers=headers).text)
    finally:
        closed.stop()


def test_the_index_and_its_servers_are_timed(cluster: Cluster) -> None:
    for name in ("web", "runner"):
        samples = scrape(cluster.servers[name])
        for kind in ("turn", "transaction", "connection"):
            count = samples[f"gantry_index_{kind}_seconds_count"][()]
            assert count > 0
            assert count == samples[f"gantry_index_{kind}_seconds_bucket"][(("le", "+Inf"),)]
        assert samples["gantry_operations_waiting_longest_seconds"] == {(): 0}
        assert 0 <= samples["gantry_servers_longest_silence_seconds"][()] < 60
