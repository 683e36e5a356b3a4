"""A real Prometheus reads a running stream and answers questions about it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("prometheus_client", reason="needs prometheus-client: pip install 'fruitpipe[metrics]'")

from fruitpipe.jobs.ingest import ingest
from fruitpipe.runtime import cache
from fruitpipe.settings import IngestSettings
from tests.commands import CHECKOUT
from tests.pictures import fill, put
from tests.ports import free_port

SECONDS = 120  # other tests may be starting Spark at the same time
CONFIGURATION = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs: [{{job_name: fruitpipe, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
"""
EXPECTED = {
    'fruitpipe_images_total{outcome="featurised"}': [4.0],
    'sum by (reason) (fruitpipe_errors_total{reason="truncated"})': [1.0],
    "fruitpipe_table_rows": [5.0],
    "fruitpipe_manifests_waiting": [0.0],
    "fruitpipe_lease_held + fruitpipe_root_readable": [2.0],
    "fruitpipe_lag_seconds_count": [1.0],
}
DASHBOARD = json.loads((CHECKOUT / "deploy" / "grafana-dashboard.json").read_text())


def prometheus():
    return shutil.which("prometheus") or shutil.which("prometheus", path=cache.folder() / "bin")


@contextlib.contextmanager
def scraping(port, folder):
    """A Prometheus that reads the port; yields the function that asks it."""
    own = free_port()
    (folder / "prometheus.yml").write_text(CONFIGURATION.format(port=port))
    command = [prometheus(), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{own}"], stderr=log) as server,
    ):
        try:
            yield lambda query: answer(own, query)
        finally:
            server.kill()


def answer(port, query):
    """The values that a query gives now; none before Prometheus listens."""
    asked = urllib.parse.urlencode({"query": query})
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{asked}", timeout=10) as said:
            body = json.load(said)
    except OSError:
        return None
    assert body["status"] == "success", body
    return [float(one["value"][1]) for one in body["data"]["result"]]


def asked(port, folder, ended):
    """What it answers, once that is EXPECTED, time is over or the stream has ended; and to each panel. Then ends the stream."""
    try:
        with scraping(port, folder) as ask:
            until = time.monotonic() + SECONDS
            while (said := {query: ask(query) for query in EXPECTED}) != EXPECTED and time.monotonic() < until:
                if ended.wait(0.2):
                    break
            return said, [ask(target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
    finally:
        os.kill(os.getpid(), signal.SIGTERM)  # the stream is in this process


@pytest.fixture
def _outlives_sigterm():
    """Before the stream takes it, and after."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.skipif(not prometheus(), reason="needs prometheus: bash tests/install.sh")
@pytest.mark.usefixtures("spark", "_outlives_sigterm")
def test_prometheus_reads_a_running_stream_and_answers_what_the_dashboard_asks(images, root, tmp_path, capsys):
    fill(images, 4)
    put(images / "Kiwi" / "cut.jpg", (images / "Kiwi" / "0000.jpg").read_bytes()[:-30])
    port, ended = free_port(), threading.Event()
    with ThreadPoolExecutor(1) as beside:
        answers = beside.submit(asked, port, tmp_path, ended)
        try:
            ingest(IngestSettings(images=str(images), root=root, metrics_port=port))
        finally:
            ended.set()
    said, panels = answers.result()
    assert said == EXPECTED
    assert panels
    assert all(panel is not None for panel in panels)
    printed = capsys.readouterr()
    assert "4 featurised" in printed.out.splitlines()[0]
    assert printed.out.splitlines()[-1] == "ingest: 4 images featurised, 1 failed"
    assert printed.err == ""
