"""Names of files, however odd: each is stored as it is, and is one image to the listing, to events and to reconciliation."""

from __future__ import annotations

import contextlib
import io

import pytest
from delta.tables import DeltaTable
from pyspark.sql import functions as F  # noqa: N812

from fruitpipe import objects
from fruitpipe.errors import WrongUsage
from fruitpipe.jobs.ingest import ingest
from fruitpipe.jobs.reconcile import reconcile
from fruitpipe.root import manifests
from fruitpipe.settings import IngestSettings, ReconcileSettings
from fruitpipe.table import delta, path_hashes
from tests.manifests import write_manifest
from tests.pictures import fill, jpeg, put

ODD_NAMES = [
    "a b.jpg",
    "a+b.jpg",
    "a%20b.jpg",
    "a%2Bb.JPG",
    "a#b?c&d='e\".jpeg",
    "pêche.jpg",
    "pe\u0302che.jpg",
    "🍓.PNG",
    "x:y.jpg",
]


@pytest.fixture(scope="module")
def ingested(spark, tmp_path_factory):
    """An image of each name, ingested in one run: their URIs, the rows' labels by path, and what a second run says."""
    folder = tmp_path_factory.mktemp("names")
    images, root = folder / "images", f"file://{folder}/root"
    uris = {name: put(images / "Apple Golden 2" / name, jpeg(seed)) for seed, name in enumerate(ODD_NAMES)}
    with contextlib.redirect_stdout(io.StringIO()) as said:
        ingest(IngestSettings(images=str(images), root=root, once=True))
        labels = {row["path"]: row["label"] for row in delta.rows(spark, root).collect()}
        reconcile(ReconcileSettings(images=str(images), root=root))
        ingest(IngestSettings(images=str(images), root=root, once=True))
    return uris, labels, said.getvalue().splitlines()[-1]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_is_stored_as_its_owner_typed_it(ingested, name):
    uris, labels, _ = ingested
    assert labels[uris[name]] == "Apple Golden 2"


def test_no_name_is_stored_twice_or_found_anew_by_reconciliation(ingested):
    uris, labels, second_run = ingested
    assert set(labels) == set(uris.values())
    assert second_run == "ingest: 0 images featurised, 0 failed"


def test_two_spellings_of_one_name_are_two_images(images, run, table):
    for seed, name in enumerate(("p\u00eache.jpg", "pe\u0302che.jpg")):
        put(images / "Kiwi" / name, jpeg(seed))
    assert run() == "ingest: 2 images featurised, 0 failed"
    assert set(table()) == {"p\u00eache.jpg", "pe\u0302che.jpg"}


def test_the_listing_and_an_event_give_an_image_the_same_identity(images, root, run, table):
    names = ("a b.jpg", "a+b.jpg", "a%20b.jpg", "a%2Bb.jpg")
    uris = [put(images / "Apple Golden 2" / name, jpeg(seed)) for seed, name in enumerate(names)]
    run()
    write_manifest(root, *(manifests.to_line(manifests.ImageEvent("created", uri)) for uri in uris))
    assert run(source="events") == "ingest: 0 images featurised, 0 failed, 4 unchanged"
    assert set(table()) == set(names)


def images_of_rows(root, prefix):
    return [image for (rows,) in path_hashes.of_rows(root, prefix).parts() for image in rows.images.tolist()]


def test_rows_and_listing_know_an_image_by_the_same_code(spark, images, root, run):
    for seed, name in enumerate(ODD_NAMES):
        put(images / "Apple Golden 2" / name, jpeg(seed))
    run()
    listed = [path_hashes.of_image(stat.path, stat.etag) for stat in objects.list_all(f"file://{images}")]
    assert sorted(images_of_rows(root, f"file://{images}")) == sorted(listed)
    version = F.concat("etag", F.lit("@3/L4kqtJl"))  # S3's, of which no listing tells
    DeltaTable.forPath(spark, delta.features_uri(root)).update(set={"etag": version})
    assert sorted(images_of_rows(root, f"file://{images}")) == sorted(listed)


def test_a_linked_folder_is_listed_under_its_own_name_where_it_has_one(images, tmp_path, run, catch_up, table):
    fill(tmp_path / "elsewhere", 2)
    images.mkdir()
    (images / "Kiwi").symlink_to(tmp_path / "elsewhere" / "Kiwi")
    assert run().startswith("ingest: 2 images featurised")
    fill(images / "Z", 1, first=2)
    (images / "A link").symlink_to(images / "Z")
    assert catch_up() == "ingest: 1 images featurised, 0 failed"
    assert run() == "ingest: 0 images featurised, 0 failed"
    assert {row["path"].removeprefix(f"file://{images}/") for row in table().values()} == {
        "Kiwi/0000.jpg",
        "Kiwi/0001.jpg",
        "Z/Kiwi/0002.jpg",
    }


def test_side_files_are_skipped_in_a_line_and_their_rows_go_with_a_reconciliation(images, root, run, table, capsys):
    fill(images, 2)
    put(images / "at the top.jpg", jpeg(7))
    put(images / "Kiwi" / "._0000.jpg", b"attributes of macOS")
    put(images / "@eaDir" / "0000.jpg" / "SYNOPHOTO_THUMB_M.jpg", jpeg(8))
    put(images / "Kiwi" / "a.DNG", b"no name of an image")
    assert run(side_files=True) == "ingest: 4 images featurised, 1 failed"
    assert {name: row["label"] for name, row in table().items()}["at the top.jpg"] == ""
    ingest(IngestSettings(images=str(images), root=root, once=True))
    said = capsys.readouterr().out.splitlines()
    skipped = (
        "1 side files of macOS, 1 thumbnails of a NAS; names that are not like *.{jpg,jpeg,png,webp,avif,heic,heif,hif}: 1 .dng"
    )
    assert f"ingest: skipped: {skipped}" in said
    reconcile(ReconcileSettings(images=str(images), root=root, allow_removals=True))
    assert run() == "ingest: 0 images featurised, 0 failed, 2 gone"
    assert set(table()) == {"0000.jpg", "0001.jpg", "at the top.jpg"}


def test_a_folder_under_another_name_is_refused_and_a_link_to_it_is_skipped(images, root, run, table, tmp_path, capsys):
    fill(images, 2)
    run()
    (tmp_path / "link").symlink_to(images)
    with pytest.raises(
        WrongUsage, match=f"/link: is the same folder as file://{images}, where 2 rows are; give --images file://"
    ):
        ingest(IngestSettings(images=str(tmp_path / "link"), root=root, once=True))
    fill(tmp_path / "more", 1, first=2)
    (tmp_path / "more" / "linked").symlink_to(images / "Kiwi")
    ingest(IngestSettings(images=str(tmp_path / "more"), root=root, once=True))
    said = capsys.readouterr().out
    assert f"ingest: skipped: 2 images that have another name, in file://{images}/Kiwi" in said
    assert set(table()) == {"0000.jpg", "0001.jpg", "0002.jpg"}
