"""What Prometheus is told of a stream: its commits, and the state of its root, read by the parser of Prometheus' own library."""

from __future__ import annotations

import json
import re
import sys
import threading
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

pytest.importorskip("prometheus_client", reason="needs prometheus-client: pip install 'fruitpipe[metrics]'")

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from fruitpipe import objects
from fruitpipe.erasure import register
from fruitpipe.errors import MissingRequirement, WrongUsage
from fruitpipe.operations import metrics
from fruitpipe.root import lease
from fruitpipe.runtime.progress import Commit
from tests.commands import CHECKOUT
from tests.ports import free_port
from tests.rows import empty_table, put_rows
from tests.versions import publish

DASHBOARD = json.loads((CHECKOUT / "deploy" / "grafana-dashboard.json").read_text())


@pytest.fixture
def root(tmp_path):
    return f"file://{tmp_path}/root"


def read(text):
    """The samples by name and labels, as Prometheus' parser reads them."""
    families = text_string_to_metric_families(text)
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def told(of):
    return read(generate_latest(of.registry).decode())


def test_commits_are_counted_by_outcome_reason_and_phase(root):
    of = metrics.Metrics(root)
    of.count(Commit(Counter(featurised=3, failed=2), Counter(truncated=2), 7.5, {"featurise": 2.0, "commit": 0.5}))
    of.count(Commit(Counter(featurised=1), Counter(), None, {"featurise": 1.0}))
    said = told(of)
    assert said["fruitpipe_images_total", "featurised"] == 4
    assert said["fruitpipe_images_total", "failed"] == 2
    assert said["fruitpipe_errors_total", "truncated"] == 2
    assert said["fruitpipe_phase_seconds_total", "featurise"] == 3
    assert said["fruitpipe_phase_seconds_total", "commit"] == 0.5
    assert said["fruitpipe_commits_total",] == 2
    assert (said["fruitpipe_lag_seconds_count",], said["fruitpipe_lag_seconds_sum",]) == (1, 7.5)
    assert (said["fruitpipe_lag_seconds_bucket", "5.0"], said["fruitpipe_lag_seconds_bucket", "15.0"]) == (0, 1)


def test_the_state_of_the_root_is_read_when_it_is_asked_for(root):
    empty_table(root)
    put_rows(root, [objects.Stat(f"file:///images/Kiwi/{number}.jpg", "e", 1, datetime.now(UTC)) for number in range(3)])
    for _ in range(2):
        publish(root)
    objects.write(f"{root}/events/2026/11/30/000000-s3-1.jsonl", b'{"event": "created", "path": "file:///images/Kiwi/4.jpg"}\n')
    record = register.request(root, ["file:///images/Kiwi/1.jpg"], requested_by="")
    asked = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    register.save(root, replace(record, status="incomplete", requested_at=asked))
    with lease.held(root):
        said = told(metrics.Metrics(root))
    assert {name: said[name,] for name in ("fruitpipe_root_readable", "fruitpipe_lease_held")} == {
        "fruitpipe_root_readable": 1,
        "fruitpipe_lease_held": 1,
    }
    assert (said["fruitpipe_table_version",], said["fruitpipe_table_rows",], said["fruitpipe_table_files",]) == (1, 3, 1)
    data = [stat.length for stat in objects.list_all(f"{root}/features") if stat.path.endswith(".parquet")]
    assert said["fruitpipe_table_bytes",] == sum(data)
    assert said["fruitpipe_manifests_waiting",] == 1
    assert 0 <= said["fruitpipe_manifests_oldest_seconds",] < 60
    assert said["fruitpipe_versions_published",] == 2
    assert 0 <= said["fruitpipe_version_age_seconds",] < 60
    assert {labels[0]: value for (name, *labels), value in said.items() if name == "fruitpipe_erasures"} == {
        **dict.fromkeys(("requested", "waiting", "searching", "done"), 0),
        "incomplete": 1,
    }
    assert 7200 <= said["fruitpipe_erasures_oldest_seconds",] < 7260
    assert "Kiwi" not in str(said)


def test_of_a_root_that_does_not_exist_yet_there_is_no_table_and_nothing_waits(root):
    said = told(metrics.Metrics(root))
    assert (said["fruitpipe_root_readable",], said["fruitpipe_manifests_waiting",], said["fruitpipe_lease_held",]) == (1, 0, 0)
    assert not [name for name in said if "table" in name[0] or "version_age" in name[0]]


def test_the_root_is_looked_at_every_fifteen_seconds_at_most_and_one_that_cannot_be_read_is_told(root):
    now = [0.0]
    of = metrics.Metrics(root, clock=lambda: now[0])
    assert told(of)["fruitpipe_root_readable",] == 1
    objects.write(f"{root}/erasures/20261130T000000-1.json", b"damaged")
    now[0] = 14
    assert told(of)["fruitpipe_root_readable",] == 1
    now[0] = 15
    said = told(of)
    assert said["fruitpipe_root_readable",] == 0
    assert not [name for name in said if "erasures" in name[0] or "lease" in name[0]]


def test_a_second_scrape_that_comes_while_the_root_is_read_gets_the_same_gauges(root, monkeypatch):
    of, begun, go_on = metrics.Metrics(root), threading.Event(), threading.Event()
    state, looks = metrics.state, []

    def slow(*given):
        looks.append(given)
        begun.set()
        assert go_on.wait(30)
        return state(*given)

    monkeypatch.setattr(metrics, "state", slow)
    with ThreadPoolExecutor(2) as scrapers:
        first = scrapers.submit(told, of)
        assert begun.wait(30)
        second = scrapers.submit(told, of)
        done, _ = wait([second], timeout=0.2)  # time enough for one that does not wait
        go_on.set()
        assert not done
        assert second.result() == first.result()
    assert (second.result()["fruitpipe_root_readable",], len(looks)) == (1, 1)


def test_a_readers_own_error_ends_no_scrape_and_is_said(root, monkeypatch, capsys):
    def fails(*_):
        raise OSError("Generic error: no such log")

    monkeypatch.setattr(metrics, "state", fails)
    of = metrics.Metrics(root)
    of.count(Commit(Counter(featurised=2)))
    said = told(of)
    assert (said["fruitpipe_root_readable",], said["fruitpipe_images_total", "featurised"]) == (0, 2)
    assert "metrics: the root could not be read (OSError: Generic error: no such log)" in capsys.readouterr().err


def test_they_are_served_while_the_stream_runs_and_a_port_that_is_taken_is_told(root):
    port = free_port()
    with metrics.served(root, port, "127.0.0.1") as count:
        count(Commit(Counter(featurised=2)))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            assert read(answer.read().decode())["fruitpipe_images_total", "featurised"] == 2
        with pytest.raises(WrongUsage, match=rf"--metrics-port {port}: cannot be listened at on 127.0.0.1 \(Address already"):
            metrics.served(root, port, "127.0.0.1").__enter__()
    with metrics.served(root, port, "127.0.0.1"):  # it is free again
        pass


def test_without_a_port_nothing_of_it_is_loaded_and_without_the_library_the_way_to_it_is_told(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with metrics.served(root, None, "127.0.0.1") as count:
        count(Commit(Counter(featurised=2)))
    with pytest.raises(MissingRequirement, match=r"pip install 'fruitpipe\[metrics\]'"):
        metrics.served(root, free_port(), "127.0.0.1").__enter__()


def test_the_dashboard_and_the_page_show_every_metric_and_no_other():
    of = metrics.Metrics("file:///nowhere")
    known = {f"fruitpipe_{name}" for name in metrics.GAUGES} | {
        metric.name for metric in of.registry.collect() if metric.type in ("counter", "histogram")
    }
    shown = {name for panel in DASHBOARD["panels"] for target in panel["targets"] for name in named(target["expr"])}
    assert shown == known
    page = (CHECKOUT / "docs" / "metrics.md").read_text()
    page = page.replace("`…_", "`fruitpipe_table_")
    assert named(page.partition("|---|")[2]) == known


def named(text):
    return {re.sub("_(total|bucket)$", "", name) for name in re.findall(r"fruitpipe_[a-z_]+", text)}
