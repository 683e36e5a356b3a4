"""What a server of OpenLineage is told of the runs of jobs, and that no job depends on it."""

from __future__ import annotations

import socket
import sys
from collections import Counter

import pytest
from PIL import Image

pytest.importorskip("openlineage.client", reason="needs openlineage-python: pip install 'fruitpipe[lineage]'")

from fruitpipe import cli
from fruitpipe.errors import MissingRequirement, PlatformFault, WrongUsage
from fruitpipe.ingest.micro_batch import Batches
from fruitpipe.jobs import ingest
from fruitpipe.runtime import lineage
from fruitpipe.runtime.lineage import ROWS, Job, Lineage
from fruitpipe.settings import IngestSettings
from tests.lineage_server import counts, serving
from tests.ports import free_port

ROOT = "s3://shop/pipe"
NAME = "Jane-Doe.jpg"
JOB = Job("fruitpipe.ingest", ("s3://shop/images", "file:///photos/a b"), (f"{ROOT}/features",))


@pytest.fixture
def server():
    with serving() as server:
        yield server


def failing(told, error):
    with pytest.raises(type(error)), told.run(JOB):
        raise error


def test_a_run_is_told_when_it_starts_and_with_its_counts_when_it_is_done(server):
    with Lineage(ROOT, server.url).run(JOB) as found:
        assert server.states == [("fruitpipe.ingest", "START")]
        found.update({"featurised": 3, "failed": 1, ROWS: 4})
    start, end = server.events
    assert (start["eventType"], end["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == end["run"]["runId"]
    assert start["eventTime"] <= end["eventTime"]
    assert start["job"] == end["job"] == {"namespace": ROOT, "name": "fruitpipe.ingest", "facets": {}}
    for event in (start, end):
        assert [(one["namespace"], one["name"]) for one in event["inputs"]] == [("s3://shop", "images"), ("file", "/photos/a b")]
        assert [(one["namespace"], one["name"]) for one in event["outputs"]] == [("s3://shop", "pipe/features")]
    assert start["run"]["facets"] == {}
    assert counts(end) == {"featurised": 3, "failed": 1, "rows": 4}
    assert end["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 4
    assert end["producer"] == "pkg:pypi/fruitpipe"


def test_two_runs_have_two_ids_and_a_bucket_that_is_a_prefix_has_the_name_of_its_root(server):
    told = Lineage(ROOT, f"{server.url}/")
    for _ in range(2):
        with told.run(Job("fruitpipe.ingest", ("s3://shop",), ())):
            pass
    first, _, second, _ = (event["run"]["runId"] for event in server.events)
    assert first != second
    assert server.events[0]["inputs"][0]["name"] == "/"


def test_a_run_that_fails_is_told_with_what_the_class_of_the_error_says_and_without_its_message(server):
    told = Lineage(ROOT, server.url)
    failing(told, PlatformFault(f"s3://shop/images/{NAME}: S3 answered 500"))
    failing(told, ValueError(NAME))
    assert [state for _, state in server.states] == ["START", "FAIL"] * 2
    ours, foreign = (event["run"]["facets"]["errorMessage"] for event in server.events[1::2])
    assert ours["message"] == f"PlatformFault: {PlatformFault.__doc__}"
    assert (foreign["message"], foreign["programmingLanguage"]) == ("ValueError", "python")
    assert not [body for body in server.bodies if NAME in body]


def test_a_run_that_is_interrupted_is_aborted(server):
    failing(Lineage(ROOT, server.url), KeyboardInterrupt())
    assert [state for _, state in server.states] == ["START", "ABORT"]


def test_nothing_is_told_and_no_client_needed_unless_a_server_is_named(server, monkeypatch):
    monkeypatch.setenv("OPENLINEAGE_URL", server.url)
    monkeypatch.setitem(sys.modules, "openlineage.client", None)
    with Lineage(ROOT).run(JOB) as found:
        found[ROWS] += 1
    assert server.bodies == []


def test_the_clients_own_settings_add_nothing_but_the_key(server, monkeypatch, tmp_path):
    (tmp_path / "openlineage.yml").write_text("facets: {environment_variables: [SECRET]}\ntransport: {type: console}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET", NAME)
    monkeypatch.setenv("OPENLINEAGE__TAGS", f'{{"run": {{"a": "{NAME}"}}}}')
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "a-key")
    with Lineage(ROOT, server.url).run(JOB):
        pass
    assert [headers["Authorization"] for headers in server.headers] == ["Bearer a-key"] * 2
    assert not [body for body in server.bodies if NAME in body]


def test_a_server_that_is_not_there_costs_one_line_until_it_answers_again(server, capsys):
    now = [0.0]
    told = Lineage(ROOT, f"http://127.0.0.1:{free_port()}", lambda: now[0])
    away, there = told._transport, Lineage(ROOT, server.url)._transport
    done = []
    for at, transport in ((0, away), (1, there), (70, away), (140, there), (141, away), (300, away)):
        now[0], told._transport = at, transport
        with told.run(JOB):
            done.append(at)
    assert done == [0, 1, 70, 140, 141, 300]
    assert [state for _, state in server.states] == ["START", "COMPLETE"]  # at 1 it was not asked
    line = "warning: the OpenLineage server at 127.0.0.1 took no event (ConnectionError); events are left out until it does"
    assert capsys.readouterr().err.splitlines() == [line, line]


def test_a_server_that_refuses_events_is_asked_once_and_fails_no_run(server, capsys):
    server.status = 503
    with Lineage(ROOT, server.url).run(JOB):
        pass
    assert len(server.bodies) == 1
    assert "took no event (status 503)" in capsys.readouterr().err


def test_a_key_that_no_header_can_hold_costs_a_line_and_no_run(server, capsys, monkeypatch):
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "k€y")
    with Lineage(ROOT, server.url).run(JOB) as found:
        found[ROWS] = 1
    assert found[ROWS] == 1
    assert "took no event (UnicodeEncodeError)" in capsys.readouterr().err


def test_a_server_that_does_not_answer_is_not_waited_for(capsys, monkeypatch):
    monkeypatch.setattr(lineage, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, Lineage(ROOT, f"http://127.0.0.1:{silent.getsockname()[1]}").run(JOB):
        pass
    assert "took no event (ReadTimeout)" in capsys.readouterr().err


def test_the_end_of_a_long_run_comes_by_a_connection_of_its_own_as_an_idle_one_may_be_gone(server):
    with Lineage(ROOT, server.url).run(JOB):
        pass
    start, end = server.ports
    assert start != end


def test_a_prefix_that_is_a_single_image_is_told_to_nobody():
    for images, inputs in ((f"s3://shop/{NAME}", ()), ("s3://shop/images", ("s3://shop/images",))):
        assert Batches(IngestSettings(images=images, root=ROOT), None, None)._job.inputs == inputs


@pytest.mark.parametrize(
    ("url", "code", "line"),
    [
        ("http://lineage:5000", 1, "--openlineage-url needs openlineage-python; run: pip install 'fruitpipe[lineage]'"),
        *(
            (url, 2, f"--openlineage-url {url}: give http://HOST:PORT or https://HOST")
            for url in ("lineage:5000", "http://lineage:five", "http://lineage:99999", "http://a..b:5000", "http://[::1")
        ),
    ],
)
def test_a_missing_client_and_a_url_that_is_none_are_one_line_each(url, code, line, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "openlineage.client.event_v2", None)
    with pytest.raises(SystemExit) as ended:
        cli.main(["reconcile", "--images", str(tmp_path), "--root", f"{tmp_path}/root", "--openlineage-url", url])
    assert ended.value.code == code
    assert capsys.readouterr().err.strip() == f"error: {line}"


def test_a_url_that_the_client_does_not_take_is_refused():
    with pytest.raises(WrongUsage, match="the client takes no such URL; give http://HOST:PORT"):
        Lineage(ROOT, "http://-\u00e4\u00df.example:5000")


def test_an_ingest_without_the_client_says_so_before_it_looks_whether_there_is_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openlineage.client.event_v2", None)
    monkeypatch.setattr(ingest.ModelFile, "load", lambda *_: None)
    monkeypatch.setattr(ingest, "without_spark", lambda *_: Counter())
    (tmp_path / "images").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "images" / "a.png")
    with pytest.raises(MissingRequirement, match="--openlineage-url needs openlineage-python"):
        ingest.ingest(
            IngestSettings(images=f"{tmp_path}/images", root=f"{tmp_path}/root", once=True, openlineage_url="http://lineage:5000")
        )
    assert not (tmp_path / "root").exists()
