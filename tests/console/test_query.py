"""The tab *Query* over HTTP: what it shows, what each of its actions does, and what it refuses."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb
import httpx
import pytest

from gantry.console.query.chart import choose
from gantry.console.query.page import find_place
from gantry.errors import InvalidArgument
from gantry.query_seams import Batch, Field
from gantry.querying.filter_lines import find_lines, list_lines
from tests.dicomweb.instances import instance
from tests.sql.tables import write_table
from tests.support.gantry import Gantry, without_tracebacks
from tests.support.replicas import start_server
from tests.support.server import GantryServer, counts
from tests.support.web import Web

EVIL = "<script>alert(1)</script>"
SLOW = (
    "SELECT COUNT(*) FROM UNNEST(GENERATE_ARRAY(1, 100000)) a, UNNEST(GENERATE_ARRAY(1, 100000)) b "
    "WHERE MOD(a * b, 7) = 3"
)
STORED = [(f"1.{n % 2}", f"1.{n % 2}.1", f"1.9.{n}") for n in range(6)]
"""What the rows of the table name."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GantryServer]:
    home = tmp_path_factory.mktemp("query")
    (home / "tables").mkdir()
    write_table(home / "tables", "p.d.t")
    started = start_server(home / "data", home / "buckets", env={"GANTRY_BIGQUERY": f"p={home}/tables"})
    yield started
    started.stop()


@pytest.fixture
def gantry(running: GantryServer) -> Iterator[Gantry]:
    with without_tracebacks(running):
        yield Gantry(running)


class Tab:
    """The tab of a store."""

    def __init__(self, gantry: Gantry) -> None:
        self.gantry, self.here = gantry, f"/console/{gantry.store}/query"

    def get(self, path: str = "", **kw: Any) -> httpx.Response:
        return self.gantry.request("GET", f"{self.here}{path}", **kw)

    def post(self, path: str = "", **fields: str) -> httpx.Response:
        return self.gantry.request("POST", f"{self.here}{path}", data=fields)

    def run(self, text: str) -> str:
        """The path of the page of a query that has ended."""
        answer = self.post(text=text)
        assert answer.status_code == 303, answer.text
        path = str(answer.headers["location"]).removeprefix(self.here)
        while "hx-get" in (part := self.get(f"{path}/progress")).text.partition('id="result"')[2].partition(">")[0]:
            time.sleep(0.05)
        assert part.status_code == 200
        return path

    def follow(self, answer: httpx.Response) -> str:
        """The address that a filter file leads to, once it is written."""
        assert answer.status_code == 303, answer.text
        path = str(answer.headers["location"]).removeprefix(self.here)
        while (found := self.get(path)).status_code == 200 and "Writing the filter file" in found.text:
            time.sleep(0.05)
        assert found.status_code == 303, found.text
        return str(found.headers["location"])


@pytest.fixture
def tab(gantry: Gantry) -> Tab:
    return Tab(gantry)


# The editor -----------------------------------------------------------------------------------------------------------


def test_the_page_shows_tables_columns_and_queries_to_begin_with(tab: Tab) -> None:
    page = tab.get().text
    assert "p.d.t" in page and 'data-insert="`p.d.t`"' in page
    assert 'data-insert="PatientName"' in page and "ARRAY&lt;STRUCT&gt;" in page
    assert 'data-insert="`Rows`"' in page, "a word that GoogleSQL reserves"
    assert re.findall("data-text=[^>]+>([^<]+)<", page) == [
        "Instances by modality",
        "Instances by month",
        "Paths for a filter file",
    ]
    assert "SELECT Modality, COUNT(*) AS instances" in page.partition("<textarea")[2].partition("</textarea>")[0]
    assert "Saved in this browser only" in page


def test_columns_come_as_a_part(tab: Tab) -> None:
    part = tab.get("/columns?table=p.d.t", headers={"hx-request": "true"})
    assert part.status_code == 200 and "6 rows" in part.text and "StudyDate" in part.text and "<html" not in part.text
    for table, status in (("p.d.none", 404), ("x", 400), ("q.d.t", 404), ("p.../x.t", 400)):
        assert tab.get(f"/columns?table={table}").status_code == status


@pytest.mark.slow
def test_the_queries_to_begin_with_run(tab: Tab) -> None:
    texts = re.findall('data-text="([^"]+)"', tab.get().text)
    assert len(texts) == 3
    for text in texts:
        page = tab.get(tab.run(text.replace("&#39;", "'"))).text
        assert re.search("[1-9] rows? <span", page), page


def test_the_address_fills_the_editor_in(tab: Tab) -> None:
    page = tab.get("?text=SELECT+1+%3C+2&table=p.d.t").text
    assert ">\nSELECT 1 &lt; 2</textarea>" in page
    assert tab.get("?table=p.d.none").status_code == 400


@pytest.mark.parametrize(("text", "said"), [("", "is empty"), ("x" * 20_001, "20,000 characters")])
def test_what_is_no_query_is_refused(tab: Tab, text: str, said: str) -> None:
    answer = tab.post(text=text)
    assert answer.status_code == 400 and said in answer.text and "<textarea" in answer.text


# Results --------------------------------------------------------------------------------------------------------------


def test_a_query_runs_and_its_rows_are_shown(tab: Tab) -> None:
    path = tab.run(f"SELECT Modality, `Rows`, ImageType, PatientName, StudyTime, '{EVIL}' AS evil, LastUpdated\n"
                   "FROM p.d.t ORDER BY SOPInstanceUID")  # fmt: skip
    page = tab.get(path).text
    assert "6 rows <span" in page and '<td class="num">512</td>' in page and "NULL" in page
    assert EVIL not in page and "&lt;script&gt;" in page
    assert "[&#34;DERIVED&#34;]" in page and "Family0" in page and "2024-02-03 04:05:06.789 UTC" in page
    assert f'href="{tab.here}{path}"' in page, "it is one of the last queries"
    assert "Modality, `Rows`" in page.partition("<textarea")[2], "the editor has its text"
    assert "rows.csv" not in page and "CSV cannot have" in page


def test_no_row(tab: Tab) -> None:
    page = tab.get(tab.run("SELECT Modality FROM p.d.t WHERE FALSE")).text
    assert "0 rows" in page and "No row matches" in page and "Use these instances" not in page


@pytest.mark.slow
def test_pages_of_a_result(tab: Tab) -> None:
    path = tab.run("SELECT n FROM UNNEST(GENERATE_ARRAY(1, 120)) AS n ORDER BY n")
    first, second, last = (tab.get(f"{path}?first={n}").text for n in (0, 50, 100))
    assert "Rows 1 to 50" in first and "Previous" not in first and "?first=50" in first
    assert "Rows 51 to 100" in second and '<td class="num">51</td>' in second and "?first=0" in second
    assert "Rows 101 to 120" in last and "?first=120" not in last
    for wild in ("9999", "-1", "x", "9" * 30):
        assert tab.get(f"{path}?first={wild}").status_code == 200


@pytest.mark.slow
def test_a_page_is_bounded(tab: Tab) -> None:
    columns = ", ".join(f"REPEAT('x', 100000) AS c{n}" for n in range(60))
    page = tab.get(tab.run(f"SELECT {columns} FROM UNNEST(GENERATE_ARRAY(1, 40))")).text
    assert len(page) < 200_000 and "20 more columns are not shown" in page and "a download has all of it" in page


@pytest.mark.parametrize(
    ("text", "said", "row", "column", "mark"),
    [
        ("SELECT Modalty FROM p.d.t", "Unrecognized name: Modalty", 1, 8, "M"),
        ("SELECT 1\nFROM (x", "Syntax error", 2, 7, "x"),
        ("SELECT 'é😀', Modalty\nFROM p.d.t", "Unrecognized name", 1, 14, "M"),
    ],
)
def test_errors_name_line_and_column(tab: Tab, text: str, said: str, row: int, column: int, mark: str) -> None:
    page = tab.get(tab.run(text)).text
    assert said in page and f"Line {row}, column {column}" in page
    assert f'data-row="{row}" data-column="{column}"' in page and f"<mark>{mark}</mark>" in page


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT * FROM p.d.missing", "Not found: Table p:d.missing"),
        ("DROP TABLE p.d.t", "only a single SELECT"),
        ("SELECT * FROM read_csv('/etc/passwd')", "Function not found"),
    ],
)
def test_other_errors_are_told(tab: Tab, text: str, said: str) -> None:
    page = tab.get(tab.run(text)).text
    assert said in page and 'role="alert"' in page


def test_a_place_that_the_text_does_not_have() -> None:
    assert find_place(InvalidArgument("x at [9:1]"), "SELECT 1") is None
    assert find_place(InvalidArgument("x"), "SELECT 1") is None


def test_a_long_query_is_seen_and_can_be_cancelled(tab: Tab) -> None:
    answer = tab.post(text=SLOW)
    path = str(answer.headers["location"]).removeprefix(tab.here)
    page = tab.get(path).text
    assert "so far" in page and f'action="{tab.here}{path}/cancel"' in page and 'http-equiv="refresh"' in page
    assert "rows.csv" not in page and tab.get(f"{path}/rows.csv").status_code == 409
    assert tab.get().status_code == 200, "other pages do not wait"
    assert tab.post(f"{path}/cancel").status_code == 303
    while "so far" in (page := tab.get(path).text):
        time.sleep(0.05)
    assert "cancelled" in page


def test_there_is_no_result_of_what_is_no_query(tab: Tab) -> None:
    for path in ("/none", "/none/progress", "/none/rows.csv"):
        assert tab.get(path).status_code == 404
    assert tab.post("/none/cancel").status_code == 404
    assert tab.post("/none/filter", then="export", bucket="x").status_code == 404
    extract = {
        "sourceTable": {"projectId": "p", "datasetId": "d", "tableId": "t"},
        "destinationFormat": "NEWLINE_DELIMITED_JSON",
        "destinationUris": [f"gs://{tab.gantry.out}/x"],
    }
    body = {"configuration": {"labels": ["then"], "extract": extract}}
    made = tab.gantry.call("POST", "bigquery/v2/projects/p/jobs", json=body)
    assert tab.get(f"/{made['jobReference']['jobId']}").status_code == 404


# Downloads ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_downloads(tab: Tab, tmp_path: Path) -> None:
    path = tab.run("SELECT InstanceNumber, 'a,\"é' AS x, `Rows`, LastUpdated FROM p.d.t ORDER BY 1")
    answer = tab.get(f"{path}/rows.csv")
    assert answer.text.splitlines()[:2] == [
        "InstanceNumber,x,Rows,LastUpdated",
        '0,"a,""é",,2024-02-03 04:05:06.789 UTC',
    ]
    assert answer.headers["content-disposition"] == f'attachment; filename="{path[1:]}.csv"'
    lines = [json.loads(line) for line in tab.get(f"{path}/rows.ndjson").text.splitlines()]
    assert len(lines) == 6 and lines[1]["Rows"] == "512" and "Rows" not in lines[0]
    (tmp_path / "x.parquet").write_bytes(tab.get(f"{path}/rows.parquet").content)
    found = duckdb.sql(f"SELECT *, epoch_ms(LastUpdated) FROM '{tmp_path}/x.parquet' ORDER BY 1").fetchall()
    assert found[1][:3] == ("1", 'a,"é', 512) and found[1][4] == 1706933106789 and len(found) == 6


@pytest.mark.slow
def test_parquet_of_all_types(tab: Tab, tmp_path: Path) -> None:
    path = tab.run("SELECT *, NUMERIC '1.5' AS n, CAST('NaN' AS FLOAT64) AS f FROM p.d.t ORDER BY SOPInstanceUID")
    (tmp_path / "x.parquet").write_bytes(tab.get(f"{path}/rows.parquet").content)
    query = f"""SELECT PatientName.Alphabetic.FamilyName, StudyDate::VARCHAR, StudyTime::VARCHAR, PixelSpacing,
        n::VARCHAR, Sequence[1].Inner[1].Deep, Metadata->>'$."00100020".Value[0]', isnan(f)
        FROM '{tmp_path}/x.parquet' LIMIT 1"""
    expected = ("Family0", "2024-01-01", "10:30:00.5", [0.5, 0.25], "1.500000000", "deep0", "ID0", True)
    assert duckdb.sql(query).fetchall() == [expected]
    empty = tab.run("SELECT Modality FROM p.d.t WHERE FALSE")
    (tmp_path / "x.parquet").write_bytes(tab.get(f"{empty}/rows.parquet").content)
    assert duckdb.sql(f"DESCRIBE FROM '{tmp_path}/x.parquet'").fetchall()[0][:2] == ("Modality", "VARCHAR")


def test_csv_of_columns_that_it_cannot_have(tab: Tab) -> None:
    path = tab.run("SELECT ImageType FROM p.d.t")
    answer = tab.get(f"{path}/rows.csv")
    assert answer.status_code == 400 and "CSV cannot have" in answer.json()["error"]["message"]


# Charts ---------------------------------------------------------------------------------------------------------------


def bars(page: str) -> list[tuple[str, str, str]]:
    """Label, width and number of each bar."""
    found = page.partition('class="plain bars"')[2].partition("</table>")[0]
    return re.findall(r'<th scope="row">(?:<span[^>]*>)?([^<]*).*?<rect width="([^"]+)".*?"num">([^<]+)<', found)


def test_a_chart_of_counts(tab: Tab) -> None:
    path = tab.run("SELECT Modality, `Rows` FROM p.d.t")
    assert "plain bars" not in tab.get(path).text, "nobody has asked for one"
    assert bars(tab.get(f"{path}?chart=Modality").text) == [("CT", "100.00", "4"), ("MR", "50.00", "2")]
    assert bars(tab.get(f"{path}?chart=Modality&measure=Rows").text) == [
        ("CT", "100.00", "2,048"),
        ("MR", "25.00", "512"),
    ]
    assert bars(tab.get(f"{path}?chart=Rows").text)[1] == ("NULL", "20.00", "1")
    for wrong in ("chart=none", "chart=", "chart=Modality&measure=Modality", "chart=%3Cb%3E"):
        assert tab.get(f"{path}?{wrong}").status_code == 200


def test_a_short_result_of_a_text_and_a_number_is_a_chart(tab: Tab) -> None:
    path = tab.run("SELECT InstanceNumber, `Rows` FROM p.d.t ORDER BY 1")
    assert [label for label, _, _ in bars(tab.get(path).text)] == ["1", "2", "3", "4", "5", "0"]
    fields = (Field("a", "STRING"), Field("n", "INTEGER"))
    assert choose(fields, {}, 3) == ("a", "n") and choose(fields, {}, 2) == choose(fields, {}, 51) == ("", "")
    assert choose((*fields, Field("b", "STRING")), {}, 3) == ("", "")


@pytest.mark.slow
def test_a_chart_of_many_values_and_rows_says_what_it_leaves_out(tab: Tab) -> None:
    path = tab.run("SELECT CAST(MOD(n, 300) AS STRING) AS s FROM UNNEST(GENERATE_ARRAY(1, 210000)) AS n")
    page = tab.get(f"{path}?chart=s").text
    assert len(bars(page)) == 20 and "the 20 largest of 300 values" in page
    assert re.search("of the first [0-9,]+ of 210,000 rows", page)


def test_long_values_that_begin_alike_are_not_added_up(tab: Tab) -> None:
    path = tab.run("SELECT CONCAT(REPEAT('x', 100), CAST(n AS STRING)) AS s FROM UNNEST(GENERATE_ARRAY(1, 5)) AS n")
    assert [bar[0::2] for bar in bars(tab.get(f"{path}?chart=s").text)] == [("x" * 80, "1")] * 5


# Filter files ---------------------------------------------------------------------------------------------------------

_STUDY, _SERIES, _INSTANCE = (Field(f"{n}InstanceUID", "STRING") for n in ("Study", "Series", "sop"))
_PATH, _NUMBER = Field("p", "STRING"), Field("n", "INTEGER")


@pytest.mark.parametrize(
    ("fields", "row", "level", "line"),
    [
        ((_STUDY,), ["1.2"], "study", "/studies/1.2"),
        ((_NUMBER, _SERIES, _STUDY), [7, "1.3", "1.2"], "series", "/studies/1.2/series/1.3"),
        ((_STUDY, _SERIES, _INSTANCE), ["1.2", "1.3", "1.4"], "instance", "/studies/1.2/series/1.3/instances/1.4"),
        ((_STUDY, _INSTANCE), ["1.2", "1.4"], "study", "/studies/1.2"),
        ((_PATH,), ["/studies/1.2/series/1.3"], "path", "/studies/1.2/series/1.3"),
        ((_SERIES,), ["1.3"], "", ""),
        ((_PATH,), ["1.2"], "", ""),
        ((_PATH, _NUMBER), ["/studies/1.2", 1], "", ""),
        ((_STUDY._replace(mode="REPEATED"),), [["1.2"]], "", ""),
    ],
)
def test_how_rows_name_instances(fields: tuple[Field, ...], row: list[Any], level: str, line: str) -> None:
    lines = find_lines(fields, row)
    assert (lines.level if lines else "") == level
    if lines:
        assert b"".join(list_lines(lines, [Batch(1, json.dumps([row]).encode())])).decode() == f"{line}\n"


@pytest.mark.parametrize("value", [None, "", "1.2\n/studies/9", "1.2/series/3", "x y", '1.2"'])
def test_a_row_that_names_nothing_is_no_line(value: str | None) -> None:
    """A line without one of its UIDs would name a whole study; one with a line break would be two."""
    lines = find_lines((_STUDY, _SERIES), ["1.2", "1.3"])
    assert lines is not None
    with pytest.raises(InvalidArgument, match="SeriesInstanceUID of row 2"):
        list(list_lines(lines, [Batch(2, json.dumps([["1.2", "1.3"], ["1.2", value]]).encode())]))
    path = find_lines((_PATH,), ["/studies/1"])
    assert path is not None
    with pytest.raises(InvalidArgument, match="row 1 of the result is no path"):
        list(list_lines(path, [Batch(1, json.dumps([[f"/studies/{value or ''} "]]).encode())]))


UIDS = "SELECT StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID FROM p.d.t WHERE Modality = 'CT' ORDER BY 3"
PATHS = [f"/studies/1.{n % 2}/series/1.{n % 2}.1/instances/1.9.{n}" for n in (1, 2, 4, 5)]


def test_exporting_the_instances_of_a_result(tab: Tab) -> None:
    gantry = tab.gantry
    Web(gantry).stored(*(instance(uids) for uids in STORED))
    path = tab.run(UIDS)
    page = tab.get(path).text
    assert "a filter file of 4 lines. Each line names an instance." in page and f"<option>{gantry.out}</option>" in page
    address = tab.follow(tab.post(f"{path}/filter", bucket=gantry.out, prefix="filters/", then="export"))
    uri = parse_qs(urlsplit(address).query)["filter_uri"][0]
    assert re.fullmatch(rf"gs://{gantry.out}/filters/filter-\d{{8}}T\d{{6}}Z-[0-9a-f]{{6}}\.txt", uri)
    ((_, written),) = gantry.objects(gantry.out).items()
    assert written.decode().splitlines() == PATHS
    form = gantry.request("GET", address).text
    assert f'value="{uri}"' in form and re.search('id="filter-file"[^>]* checked', form)
    started = gantry.request("POST", urlsplit(address).path, data={
        "destination": "bucket", "bucket": gantry.out, "prefix": "done", "filter": "file", "filter_uri": uri,
        "mime_type": "application/dicom"})  # fmt: skip
    done = gantry.wait(started.headers["location"].removeprefix("/console/"))
    assert counts(done) == (4, 0)
    assert sum(key.startswith("done/") for key in gantry.objects(gantry.out)) == 4


@pytest.mark.slow
def test_changing_the_storage_class_of_a_result(tab: Tab) -> None:
    gantry = tab.gantry
    Web(gantry).stored(*(instance(uids) for uids in STORED))
    path = tab.run("SELECT CONCAT('/studies/', StudyInstanceUID, '/series/', SeriesInstanceUID, '/instances/', "
                   "SOPInstanceUID) AS path FROM [p:d.t] WHERE Modality = 'CT'")  # fmt: skip
    assert "4 lines. Each line has a path." in tab.get(path).text
    address = tab.follow(tab.post(f"{path}/filter", bucket=gantry.out, then="storage-class"))
    assert urlsplit(address).path == f"/console/{gantry.store}/storage-class/file"
    uri = parse_qs(urlsplit(address).query)["filter_uri"][0]
    assert f'value="{uri}"' in gantry.request("GET", address).text
    here = urlsplit(address).path
    for fields, said in (({"filter_uri": uri}, "choose the new"), ({"storage_class": "ARCHIVE"}, "filterConfig")):
        refused = gantry.request("POST", here, data=fields)
        assert refused.status_code == 400 and said in refused.text.replace("Choose the new", "choose the new")
    started = gantry.request("POST", here, data={"filter_uri": uri, "storage_class": "ARCHIVE"})
    assert counts(gantry.wait(started.headers["location"].removeprefix("/console/"))) == (4, 0)


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"then": "export"}, 400, "hoose a bucket"),
        ({"then": "delete", "bucket": "x"}, 400, "hoose what the filter file is for"),
        ({"bucket": "x"}, 400, "hoose what the filter file is for"),
    ],
)
def test_a_filter_file_that_is_asked_for_wrongly(tab: Tab, fields: dict[str, str], status: int, said: str) -> None:
    answer = tab.post(f"{tab.run(UIDS)}/filter", **fields)
    assert answer.status_code == status and said in answer.text


def test_a_filter_file_that_cannot_be_written(tab: Tab) -> None:
    path = tab.run("SELECT 'x' AS StudyInstanceUID UNION ALL SELECT 'not a uid'")
    answer = tab.post(f"{path}/filter", bucket=tab.gantry.out, then="export")
    job = str(answer.headers["location"]).removeprefix(tab.here)
    while "Writing the filter file" in (page := tab.get(job).text):
        time.sleep(0.05)
    assert "is no UID" in page and f'href="{tab.here}{path}">Back to the result' in page
    assert not tab.gantry.objects(tab.gantry.out)
    missing = tab.post(f"{path}/filter", bucket="missing-bucket", then="export")
    job = str(missing.headers["location"]).removeprefix(tab.here)
    while "Writing the filter file" in (page := tab.get(job).text):
        time.sleep(0.05)
    assert "missing-bucket" in page and 'role="alert"' in page


def test_rows_that_name_nothing_have_no_filter_file(tab: Tab) -> None:
    path = tab.run("SELECT Modality FROM p.d.t")
    assert "Use these instances" not in tab.get(path).text
    answer = tab.post(f"{path}/filter", bucket=tab.gantry.out, then="export")
    assert answer.status_code == 400 and "name no instances" in answer.text


# Exports to tables ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_table_is_made_by_the_export_page(tab: Tab) -> None:
    gantry = tab.gantry
    Web(gantry).stored(*(instance(uids) for uids in STORED[:2]))
    here = f"console/{gantry.store}/export"
    form = gantry.request("GET", f"{here}?destination=bigquery").text
    assert re.search('id="to-table"[^>]* checked', form) and 'value="bq://p.d.instances"' in form
    fields = {
        "destination": "bigquery",
        "table": "bq://p.made.instances",
        "disposition": "WRITE_EMPTY",
        "filter": "all",
    }
    for schema in ("flattened", "json"):
        made = fields | {"schema": schema, "table": f"bq://p.made.{schema}"}
        started = gantry.request("POST", here, data=made)
        assert counts(gantry.wait(started.headers["location"].removeprefix("/console/"))) == (2, 0)
        page = tab.get(f"?table=p.made.{schema}").text
        assert ('data-insert="Metadata"' in page) == (schema == "json")
        for text in re.findall('data-text="([^"]+)"', page):
            assert "in " in tab.get(tab.run(text.replace("&#39;", "'").replace("&#34;", '"'))).text
        assert "Paths for a filter file" in page and "Instances by modality" in page
    for wrong in ({"filter": "studies"}, {"table": "x"}, {"filter": "file", "filter_uri": ""}, {"table": "bq://q.a.b"}):
        refused = gantry.request("POST", here, data=fields | wrong)
        assert refused.status_code == 400 and 'role="alert"' in refused.text
