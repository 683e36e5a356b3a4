"""A server of OpenLineage is told of real jobs: what it hears is what lies under the root, and no image's name."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

pytest.importorskip("openlineage.client", reason="needs openlineage-python: pip install 'fruitpipe[lineage]'")

from fruitpipe.erasure import register
from fruitpipe.jobs.reconcile import reconcile
from fruitpipe.jobs.refit import refit
from fruitpipe.refit import publication
from fruitpipe.settings import ReconcileSettings, RefitSettings
from tests.lineage_server import counts, serving
from tests.pictures import fill, put


def test_batches_refits_reconciliations_and_erasures_are_told_with_the_rows_that_they_wrote(images, root, run):
    uris = fill(images, 4)
    put(images / "Kiwi" / "bad.jpg", b"no picture at all")
    with serving() as server:
        asked = {"openlineage_url": server.url}
        run(**asked)
        rows = DeltaTable(f"{root}/features").to_pyarrow_table().num_rows
        refit(RefitSettings(root=root, report=False, **asked))
        reconcile(ReconcileSettings(images=str(images), root=root, **asked))
        register.request(root, [uris[1]], requested_by="")
        run(**asked)
    jobs = "ingest", "refit", "reconcile", "erasure"
    assert server.states == [(f"fruitpipe.{job}", state) for job in jobs for state in ("START", "COMPLETE")]
    batch, fitted, compared, erased = server.events[1::2]
    assert counts(batch) == {"featurised": 4, "failed": 1, "rows": 5}
    assert batch["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == rows == 5
    features = root.removeprefix("file://") + "/features"
    assert [one["name"] for one in (*batch["inputs"], *batch["outputs"], *fitted["inputs"])] == [str(images), features, features]
    assert counts(fitted) == {"rows": 4}
    assert counts(compared) == {"new": 0, "changed": 0, "gone": 0, "again": 0, "stale": 0}
    assert counts(erased) == {"waiting": 1, "images": 1, "rows_deleted": 1}
    assert len(pq.read_table(publication.reduced_uri(root, publication.current(root)).removeprefix("file://"))) == 3
    assert not [body for body in server.bodies if ".jpg" in body or "Kiwi" in body]
