"""The benchmarks run, count right and notice a wrong result. Nothing here looks at speed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydicom
import pytest
from benchmarks.corpus import make_corpus
from benchmarks.growth import growth_figures
from benchmarks.machine import BenchmarkError
from benchmarks.processes import cpu_by_process, is_supported, memory_bytes, tree
from benchmarks.transfer import check_export

ROOT = Path(__file__).parents[1]
RATES = ("instances_per_second", "mb_per_second", "base_instances_per_second", "base_mb_per_second", "ratio")
MEMORY = ("memory_peak_bytes", "memory_at_25_bytes", "memory_at_50_bytes", "memory_at_100_bytes")

needs_proc = pytest.mark.skipif(not is_supported(), reason="reads Linux's /proc")


def run(*arguments: str, directory: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments, "--dir", str(directory)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def found(*arguments: str, directory: Path) -> dict[str, Any]:
    done = run(*arguments, "--json", directory=directory)
    assert done.returncode == 0, done.stderr
    assert not list(directory.iterdir())
    return json.loads(done.stdout)


def check_round(item: dict[str, Any], count: int, size: int) -> None:
    assert item["success"] == count
    assert all(item[key] > 0 for key in (*RATES, *MEMORY, "seconds", "wall_seconds", "base_seconds"))
    assert item["cpu_seconds_per_1000"] >= 0
    assert item["instances_per_second"] == pytest.approx(count / item["seconds"])
    assert item["mb_per_second"] == pytest.approx(count * size / 1e6 / item["seconds"])
    assert item["ratio"] == pytest.approx(item["instances_per_second"] / item["base_instances_per_second"])
    assert item["memory_peak_bytes"] >= max(item[key] for key in MEMORY)


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("benchmark", ["import", "export"])
def test_transfer(benchmark: str, tmp_path: Path) -> None:
    arguments = ("--count", "40", "--size", "4000", "--per-series", "15", "--rounds", "2", "--workers", "1")
    answer = found(benchmark, *arguments, directory=tmp_path)
    assert (answer["benchmark"], answer["count"], answer["file_bytes"], answer["workers"]) == (benchmark, 40, 4000, 1)
    assert [item["base_first"] for item in answer["rounds"]] == [True, False]
    for item in answer["rounds"]:
        check_round(item, 40, 4000)
    ratios = [item["ratio"] for item in answer["rounds"]]
    assert answer["median"]["ratio"] == pytest.approx(sum(ratios) / 2)
    assert answer["ratio_range"] == pytest.approx([min(ratios), max(ratios)])
    assert answer["base_spread"] >= 1
    assert [process["name"] for process in answer["processes"]] == ["main", "worker 1"]


@needs_proc
@pytest.mark.slow
def test_growth(tmp_path: Path) -> None:
    answer = found("growth", "--rows", "50", "--batch", "20", directory=tmp_path)
    assert answer["count"] == 50
    for item, count in zip(answer["rounds"], (20, 20, 10), strict=True):
        check_round(item, count, 4000)
    first, last = answer["rounds"][0], answer["rounds"][-1]
    figures = answer["growth"]
    for key in ("instances_per_second", "ratio", "cpu_seconds_per_1000"):
        assert (figures[f"first_{key}"], figures[f"last_{key}"]) == (first[key], last[key])
    assert figures["rate_ratio"] == pytest.approx(last["instances_per_second"] / first["instances_per_second"])
    assert figures["ratio_of_ratios"] == pytest.approx(last["ratio"] / first["ratio"])


def test_growth_figures_take_two_steps_at_each_end() -> None:
    class Step:
        cpu_seconds_per_1000 = 0.5

        def __init__(self, rate: float, ratio: float) -> None:
            self.instances_per_second, self.ratio = rate, ratio

    figures = growth_figures([Step(100, 0.5), Step(300, 0.7), Step(1, 9), Step(90, 0.5), Step(110, 0.4)])  # type: ignore[list-item]
    assert figures["rate_ratio"] == pytest.approx(0.5)
    assert figures["ratio_of_ratios"] == pytest.approx(0.75)
    assert figures["cpu_ratio"] == 1


@pytest.mark.slow
@needs_proc
def test_table_for_people(tmp_path: Path) -> None:
    done = run("import", "--count", "5", "--size", "4000", "--rounds", "1", "--profile", directory=tmp_path)
    assert done.returncode == 0, done.stderr
    for text in ("round 1, base first", "median of ratios", "peak memory", "kernel µs/inst", "worker 1"):
        assert text in done.stdout


@needs_proc
def test_too_small_a_size_is_told(tmp_path: Path) -> None:
    done = run("import", "--count", "1", "--size", "1000", directory=tmp_path)
    assert done.returncode == 1
    assert "size: 1000 bytes cannot hold the header" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [3000, 4001, 39_000, 530_000])
def test_corpus_is_valid_dicom(size: int, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "bucket", 5, size, per_series=2, seed=7)
    assert len({item.uids[0] for item in corpus.slices}) == 1
    assert [item.path.split("/")[2] for item in corpus.slices] == ["000001.dcm", "000002.dcm"] * 2 + ["000001.dcm"]
    for item in corpus.slices:
        path = corpus.directory / item.path
        assert path.stat().st_size == corpus.size == size - size % 2
        ds = pydicom.dcmread(path)
        assert (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID) == item.uids
        assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
        assert len(ds.PixelData) == ds.Rows * ds.Columns * 2
        assert 140 <= len(ds) <= 160
        assert list(ds.keys()) == sorted(ds.keys())


def test_corpus_repeats_itself_and_seeds_differ(tmp_path: Path) -> None:
    one, same, other = (make_corpus(tmp_path / str(n), 3, 4000, 2, seed) for n, seed in enumerate((1, 1, 2)))
    assert one.slices == same.slices
    for item in one.slices:
        assert (one.directory / item.path).read_bytes() == (same.directory / item.path).read_bytes()
    assert not {uid for item in one.slices for uid in item.uids} & {uid for item in other.slices for uid in item.uids}


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_wrong_export_is_noticed(damage: str, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "bucket", 4, 4000, 2, seed=1)
    target = tmp_path / "out"
    for item in corpus.slices:
        study, series, instance = item.uids
        (target / study / series).mkdir(parents=True, exist_ok=True)
        content = (corpus.directory / item.path).read_bytes()
        (target / study / series / f"{instance}.dcm").write_bytes(content)
    check_export(corpus, target, random.Random(1))
    victim = next(target.rglob("*.dcm"))
    victim.unlink() if damage == "missing" else victim.write_bytes(b"x" + victim.read_bytes()[1:])
    with pytest.raises(BenchmarkError):
        check_export(corpus, target, random.Random(1))


@needs_proc
def test_process_tree_is_seen() -> None:
    command = [sys.executable, "-c", "import sys; print(sum(range(10**7)), flush=True); sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert child.pid in tree(os.getpid())
        assert memory_bytes(child.pid) > 1_000_000
        assert next(iter(cpu_by_process(os.getpid()))) == os.getpid()
        assert cpu_by_process(child.pid)[child.pid].total > 0
        child.communicate()
    assert child.pid not in tree(os.getpid())


@needs_proc
@pytest.mark.slow
def test_dicomweb_beside_another_checkout(tmp_path: Path) -> None:
    arguments = ("--studies", "2", "--rounds", "1", "--only", "search-patient", "--before", str(ROOT))
    (scenario,) = found("dicomweb", *arguments, directory=tmp_path)["scenarios"]
    assert scenario["ratio"] == pytest.approx(scenario["gantry"]["median"] / scenario["before"]["median"])


@needs_proc
@pytest.mark.slow
def test_the_other_server_is_that_of_the_other_checkout(tmp_path: Path) -> None:
    (program := tmp_path / "older" / "src" / "gantry" / "__main__.py").parent.mkdir(parents=True)
    (program.parent / "__init__.py").touch()
    program.write_text("raise SystemExit('this is the older version')")
    arguments = ("--studies", "2", "--rounds", "1", "--only", "search-patient", "--before", str(tmp_path / "older"))
    done = run("dicomweb", *arguments, directory=tmp_path)
    assert done.returncode == 1
    assert "this is the older version" in done.stderr


@needs_proc
@pytest.mark.slow
def test_imports_and_exports_beside_another_checkout(tmp_path: Path) -> None:
    done = run("before", str(ROOT), "--rounds", "2", "--scale", "0.005", directory=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    assert [row[:2] for row in rows] == [[verb, kind] for kind in ("small", "CT") for verb in ("import", "export")]
    assert all(float(figure) > 0 for row in rows for figure in row[2:])
    assert not list(tmp_path.iterdir())
