"""What is not there any more, or under another name: one run brings the table to what a new one would be."""

from __future__ import annotations

import os

import pytest

from fruitpipe import objects
from fruitpipe.errors import PlatformFault
from fruitpipe.jobs.ingest import ingest
from fruitpipe.jobs.refit import refit
from fruitpipe.root.manifests import ImageEvent, to_line
from fruitpipe.settings import IngestSettings, RefitSettings
from fruitpipe.table import delta
from tests.manifests import write_manifest
from tests.pictures import fill, jpeg, put
from tests.rows import by_uri


def padded(body, length):
    """A JPEG of exactly so many bytes: a comment fills it up."""
    comment = length - len(body) - 4
    return body[:2] + b"\xff\xfe" + (comment + 2).to_bytes(2, "big") + bytes(comment) + body[2:]


def overwrite(path, body, *, mtime_ns=None):
    path.write_bytes(body)
    if mtime_ns:
        os.utime(path, ns=(mtime_ns, mtime_ns))


def change(images):
    """Seven changes, as they happen to folders of pictures."""
    kiwi = images / "Kiwi"
    same = [kiwi / f"000{number}.jpg" for number in range(3)]
    overwrite(same[0], padded(jpeg(90), 20_000))  # in the same second, of the same length
    overwrite(same[1], padded(jpeg(91), 20_000), mtime_ns=same[1].stat().st_mtime_ns)  # and of the same time to the nanosecond
    overwrite(same[2], jpeg(92))
    (kiwi / "0003.jpg").unlink()
    (images / "Lemon").rename(images / "Citron")
    (kiwi / "0004.jpg").write_bytes(jpeg(4)[:1500])
    put(kiwi / "cut.jpg", jpeg(93)[:1000])
    put(kiwi / "empty.jpg", b"")


def rows(root):
    """All rows without when they were made."""
    return {path: row | {"ingested_at": None} for path, row in by_uri(root).items()}


def test_after_seven_changes_one_run_gives_the_rows_of_a_new_table(images, root, run, tmp_path):
    for number in range(3):
        put(images / "Kiwi" / f"000{number}.jpg", padded(jpeg(number), 20_000))
    fill(images, 20, first=3)
    fill(images, 10, label="Lemon", first=50)
    run()
    change(images)
    assert run() == "ingest: 3 images featurised, 3 failed, 10 moved, 11 gone"
    ingest(IngestSettings(images=str(images), root=f"{tmp_path}/new", once=True))
    assert rows(root) == rows(f"{tmp_path}/new")
    assert run() == "ingest: 0 images featurised, 0 failed"


def test_a_renamed_folder_moves_in_one_commit_without_a_model_call_and_a_refit_has_each_picture_once(images, root, run, capsys):
    fill(images, 12)
    fill(images, 6, label="Lemon", first=12)
    run()
    before = delta.describe(root).version
    (images / "Lemon").rename(images / "Citron")
    assert run(compact_commits=0) == "ingest: 0 images featurised, 0 failed, 6 moved, 6 gone"
    assert delta.describe(root).version == before + 1
    refit(RefitSettings(root=root, components=2, report=False))
    assert "18 rows" in capsys.readouterr().out


def test_a_mount_that_goes_away_in_the_middle_of_a_batch_takes_no_row_with_it(images, root, run):
    uris = fill(images, 20)
    run()
    before = rows(root)
    write_manifest(root, *(to_line(ImageEvent("created", uri)) for uri in uris))
    images.rename(images.with_name("unmounted"))
    images.mkdir()
    with pytest.raises(PlatformFault, match="is empty or another file system now, so 20 images of this batch"):
        run(source="events")
    assert rows(root) == before
    images.rmdir()
    images.with_name("unmounted").rename(images)
    assert run(source="events") == "ingest: 0 images featurised, 0 failed, 20 unchanged"


def test_an_image_that_was_copied_and_not_moved_keeps_its_row(images, root, run, table):
    uri, *_ = fill(images, 3)
    run()
    copy = put(images / "Kiwi" / "copy.jpg", jpeg(0))
    stat = next(stat for stat in objects.list_all(copy))
    events = [ImageEvent("removed", uri), ImageEvent("created", copy, stat.etag, stat.length)]
    write_manifest(root, *map(to_line, events))
    assert run(source="events") == "ingest: 0 images featurised, 0 failed, 1 moved, 1 unchanged"
    assert table()["copy.jpg"]["features"] == table()["0000.jpg"]["features"] is not None
