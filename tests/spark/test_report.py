"""The report as the refit makes it, and as it is made again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fruitpipe import cli
from fruitpipe.jobs.ingest import ingest
from fruitpipe.jobs.refit import refit
from fruitpipe.refit import publication
from fruitpipe.report import document
from fruitpipe.settings import IngestSettings, RefitSettings
from fruitpipe.table import delta
from tests.pictures import fill, put


@pytest.fixture
def ingested(spark, root, tmp_path):  # noqa: ARG001 - the jobs find the session that is there
    """Twelve images of two labels in the table, and one that failed."""
    for label, first in (("Kiwi", 0), ("Lemon", 6)):
        fill(tmp_path / "images", 6, label, first)
    put(tmp_path / "images" / "Kiwi" / "text.jpg", b"no picture")
    ingest(IngestSettings(images=str(tmp_path / "images"), root=root, once=True))


def images_of(root, version):
    page = Path(publication.report_uri(root, version).removeprefix("file://")).read_text()
    (body,) = re.findall(r'<script id="images" type="application/json">(.*?)</script>', page, re.DOTALL)
    return json.loads(body)


@pytest.mark.usefixtures("ingested")
def test_a_version_has_its_report_before_readers_get_it(root, monkeypatch):
    there = []
    switch = publication.switch

    def look_and_switch(root, version):
        there.append(images_of(root, version))
        return switch(root, version)

    monkeypatch.setattr(publication, "switch", look_and_switch)
    refit(RefitSettings(root=root))
    (images,) = there
    assert sorted(images["labels"]) == ["Kiwi"] * 6 + ["Lemon"] * 6
    assert all(picture.startswith("data:image/webp;base64,") for picture in images["pictures"])


@pytest.mark.usefixtures("ingested")
def test_a_report_made_again_has_no_image_that_left_the_table_nor_one_that_another_network_has_computed(spark, root, capsys):
    refit(RefitSettings(root=root, report=False))
    assert not Path(publication.report_uri(root, "v000001").removeprefix("file://")).exists()
    gone, other = (row["path"] for row in delta.rows(spark, root).where("label = 'Lemon'").take(2))
    table = delta.table(spark, root)
    table.delete(f"path = '{gone}'")
    table.update(f"path = '{other}'", {"extractor": "'feedfacefeedface'", "features": "slice(features, 1, 5)"})
    with pytest.raises(SystemExit):
        cli.main(["report", "--root", root])
    assert capsys.readouterr().out.splitlines()[-1] == publication.report_uri(root, "v000001")
    again = images_of(root, "v000001")
    assert len(again["paths"]) == 10
    assert not {gone, other} & set(again["paths"])


@pytest.mark.usefixtures("ingested")
def test_a_version_that_could_not_be_reported_is_not_published_and_leaves_nothing(root, monkeypatch):
    def fail(*_arguments):
        raise ZeroDivisionError

    monkeypatch.setattr(document, "html", fail)
    with pytest.raises(ZeroDivisionError):
        refit(RefitSettings(root=root))
    assert publication.versions(root) == []
    assert not list(Path(root.removeprefix("file://"), "reports").glob("*"))


def test_a_version_that_is_not_published_is_refused_in_a_line(root, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["report", "--root", root])
    assert ended.value.code == 1
    assert "no reduced features are published yet" in capsys.readouterr().err
