"""A real Prometheus reads a running stream and answers questions about it."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import pytest

pytest.importorskip("prometheus_client", reason="needs prometheus-client: pip install 'fruitpipe[metrics]'")

from fruitpipe.runtime import cache
from tests.commands import CHECKOUT
from tests.pictures import fill, put
from tests.ports import free_port

SECONDS = 120  # other tests may be starting Spark at the same time
CONFIGURATION = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs: [{{job_name: fruitpipe, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
"""
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


@pytest.mark.skipif(not prometheus(), reason="needs prometheus: bash tests/install.sh")
def test_prometheus_reads_a_running_stream_and_answers_what_the_dashboard_asks(images, root, tmp_path):
    fill(images, 4)
    put(images / "Kiwi" / "cut.jpg", (images / "Kiwi" / "0000.jpg").read_bytes()[:-30])
    port = free_port()
    command = [sys.executable, "streaming/ingest.py", "--images", str(images), "--root", root, "--metrics-port", str(port)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as stream:
        try:
            assert "4 featurised" in next(stream.stdout)
            with scraping(port, tmp_path) as ask:
                expected = {
                    'fruitpipe_images_total{outcome="featurised"}': [4.0],
                    'sum by (reason) (fruitpipe_errors_total{reason="truncated"})': [1.0],
                    "fruitpipe_table_rows": [5.0],
                    "fruitpipe_manifests_waiting": [0.0],
                    "fruitpipe_lease_held + fruitpipe_root_readable": [2.0],
                    "fruitpipe_lag_seconds_count": [1.0],
                }
                until = time.monotonic() + SECONDS
                while (said := {query: ask(query) for query in expected}) != expected:
                    assert time.monotonic() < until, said
                    time.sleep(0.2)
                print(said)
                for panel in DASHBOARD["panels"]:
                    assert all(ask(target["expr"]) is not None for target in panel["targets"])
            stream.terminate()
            _, complaints = stream.communicate(timeout=60)
        finally:
            stream.kill()
    assert (stream.returncode, complaints) == (0, "")
