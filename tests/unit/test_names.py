"""Globs, side files, labels, and what a listing skips."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fruitpipe import objects
from fruitpipe.errors import Damaged, PlatformFault, WrongRoot, WrongUsage
from fruitpipe.ingest.prefix_check import check_images
from fruitpipe.jobs.ingest import naming_rule
from fruitpipe.jobs.reconcile import reconcile
from fruitpipe.pictures import globs, image_filter, look_alikes, naming, side_files
from fruitpipe.pictures.image_filter import ImageFilter
from fruitpipe.pictures.links import Links
from fruitpipe.pictures.naming import Naming
from fruitpipe.settings import IngestSettings, ReconcileSettings
from fruitpipe.table import columns, delta, first_commit, retention
from tests.pictures import fill
from tests.rows import put_rows
from tests.side_files import SIDE_FILES

GLOB = "*.{jpg,jpeg,png,webp,avif,heic,heif,hif}"
FRUIT = ("s3://b/fruit",)


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("s3://b/fruit/Apple Golden 2/0.jpg", "Apple Golden 2"),
        ("s3://b/fruit/Label=x/0.jpg", "Label=x"),
        ("s3://b/images/0.jpg", "images"),
        ("s3://b/0.jpg", ""),
        ("file:///data/Kiwi/0.jpg", "Kiwi"),
        ("file:///0.jpg", ""),
        ("s3://b/a%2Fb/0.jpg", "a%2Fb"),
    ],
)
def test_of_an_old_root_the_folder_that_holds_an_image_is_its_label(path, label):
    assert Naming().label(path) == label
    assert Naming(None, FRUIT).label(path) == label
    assert Naming(-1).label(path) == label  # an event may name an image outside of every prefix


@pytest.mark.parametrize(
    ("level", "path", "label"),
    [
        (-1, "0.jpg", ""),
        (-1, "Kiwi/0.jpg", "Kiwi"),
        (-1, "train/Kiwi/0.jpg", "Kiwi"),
        (-2, "Kiwi/2026/0.jpg", "Kiwi"),
        (-2, "Kiwi/0.jpg", ""),
        (1, "Kiwi/2026/11/0.jpg", "Kiwi"),
        (2, "train/Kiwi/2026/0.jpg", "Kiwi"),
        (2, "Kiwi/0.jpg", ""),
        (1, "0.jpg", ""),
    ],
)
def test_a_label_is_the_folder_at_its_level_below_the_prefix(level, path, label):
    assert Naming(level, FRUIT).label(f"s3://b/fruit/{path}") == label
    assert Naming(level, ("s3://b",)).label(f"s3://b/{path}") == label
    assert Naming(level, ("file:///data/fruit",)).label(f"file:///data/fruit/{path}") == label


def test_the_prefix_that_came_first_counts():
    assert Naming(-1, (*FRUIT, "s3://b/fruit/Kiwi")).label("s3://b/fruit/Kiwi/0.jpg") == "Kiwi"
    assert Naming(-1, ("s3://b/fruit/Kiwi", *FRUIT)).label("s3://b/fruit/Kiwi/0.jpg") == ""
    assert Naming(1, FRUIT).label("s3://other/Kiwi/0.jpg") == ""


@pytest.fixture
def root(tmp_path):
    return f"file://{tmp_path}/root"


def proposed(root, images, is_new, **flags):
    return naming.proposed(IngestSettings(root=root, images=images, **flags), is_new=lambda: is_new)


def test_the_rule_is_kept_with_the_root_and_later_starts_have_it(root):
    first = proposed(root, FRUIT[0], is_new=True, label_level=2)
    assert first == Naming(2, FRUIT, False)
    assert naming.of(root) == Naming()
    naming.keep(root, first)
    assert naming.of(root) == first
    again = proposed(root, "s3://b/more", is_new=False)
    assert again == Naming(2, ("s3://b/fruit", "s3://b/more"), False)


def test_a_new_root_labels_a_picture_at_the_top_with_nothing_and_an_old_one_as_before(root):
    assert proposed(root, FRUIT[0], is_new=True).label("s3://b/fruit/0.jpg") == ""
    assert proposed(root, FRUIT[0], is_new=False).label("s3://b/fruit/0.jpg") == "fruit"


@pytest.mark.parametrize("more", [{}, retention.lacking({}, 168)], ids=["lacks some", "lacks none"])
def test_a_root_with_a_table_and_no_rule_is_an_old_one_whatever_its_table_lacks(root, more):
    settings = IngestSettings(root=root, images=FRUIT[0])
    assert naming_rule(settings).label("s3://b/fruit/0.jpg") == ""
    first_commit.write(delta.folder(root), columns.SCHEMA, columns.PROPERTIES | more, datetime.now(UTC))
    assert naming_rule(settings).label("s3://b/fruit/0.jpg") == "fruit"


@pytest.mark.parametrize("left", ["part-0.parquet", f"_delta_log/{7:020}.json"])
def test_a_root_whose_table_cannot_be_read_is_not_taken_for_a_new_one(root, left):
    objects.write(f"{delta.folder(root)}/{left}", b"left")
    with pytest.raises((WrongRoot, Damaged), match="restore"):
        naming_rule(IngestSettings(root=root, images=FRUIT[0]))


def test_a_root_whose_store_fails_is_not_taken_for_a_new_one(root, monkeypatch):
    def fails(_):
        raise PlatformFault("as the test has it")

    monkeypatch.setattr(delta, "Snapshot", fails)
    with pytest.raises(PlatformFault):
        naming_rule(IngestSettings(root=root, images=FRUIT[0]))


def test_a_root_whose_table_others_have_changed_is_refused_before_anything_is_stored(root):
    first_commit.write(delta.folder(root), columns.SCHEMA, columns.PROPERTIES | {"delta.appendOnly": "true"}, datetime.now(UTC))
    with pytest.raises(WrongRoot, match="appendOnly is true"):
        naming_rule(IngestSettings(root=root, images=FRUIT[0]))


@pytest.mark.parametrize("more", [{}, retention.lacking({}, 168)], ids=["lacks some", "lacks none"])
def test_a_folder_with_rows_under_another_name_is_refused_whatever_the_table_lacks(tmp_path, root, more):
    fill(tmp_path / "images", 2)
    (tmp_path / "link").symlink_to(tmp_path / "images")
    first_commit.write(delta.folder(root), columns.SCHEMA, columns.PROPERTIES | more, datetime.now(UTC))
    put_rows(root, objects.list_all(f"file://{tmp_path}/images"))
    settings = IngestSettings(root=root, images=f"file://{tmp_path}/link")
    with pytest.raises(WrongUsage, match=r"is the same folder as .*/images, where 2 rows are"):
        check_images(settings, naming_rule(settings))
    with pytest.raises(WrongUsage, match=r"is the same folder as .*/images, where 2 rows are"):
        reconcile(ReconcileSettings(root=root, images=f"file://{tmp_path}/link"))
    assert objects.children(f"{root}/events") == []


@pytest.mark.parametrize(("kept", "asked"), [(-1, 1), (2, -1), (None, -1)])
def test_another_level_than_the_roots_is_refused_in_one_line(root, kept, asked):
    naming.keep(root, Naming(kept, FRUIT, False))
    with pytest.raises(WrongUsage, match=f"^--label-level {asked}: the labels under {root} are .*; leave it out"):
        proposed(root, FRUIT[0], is_new=False, label_level=asked)


def test_an_image_that_is_the_prefix_itself_is_not_written_down(root):
    assert proposed(root, "s3://b/fruit/Kiwi/a.jpg", is_new=True).prefixes == ()


def test_there_is_no_level_0(root):
    with pytest.raises(WrongUsage, match="--label-level 0: folders count from 1"):
        proposed(root, FRUIT[0], is_new=True, label_level=0)


@pytest.mark.parametrize("name", ["a.jpg", "b.JPG", "c d.JpEg", "é.png", ".e.webp", "_f.PNG"])
def test_the_default_glob_takes_images_in_any_case(name):
    assert globs.matcher(GLOB).match(name)


@pytest.mark.parametrize("name", ["a.txt", "a.jpg.tmp", "jpg", "a.jpgx", "a.gif"])
def test_the_default_glob_takes_nothing_else(name):
    assert not globs.matcher(GLOB).match(name)


def test_alternatives_may_nest():
    assert [bool(globs.matcher("*.{jp{,e}g,png}").match(name)) for name in ("a.jpg", "a.jpeg", "a.png", "a.jp")] == [1, 1, 1, 0]


@pytest.mark.parametrize(("below", "kind"), SIDE_FILES.items())
def test_side_files_of_systems_are_known_by_their_names(below, kind):
    assert side_files.kind(below) == kind
    assert Naming(-1, FRUIT, False).side_file(f"s3://b/fruit/{below}") == kind
    assert Naming(-1, FRUIT, True).side_file(f"s3://b/fruit/{below}") is None


def test_each_folder_of_systems_is_found():
    for folder, kind in side_files.KINDS.items():
        assert side_files.kind(f"{folder}/a.jpg") == side_files.kind(f"Kiwi/{folder.upper()}/a.jpg") == kind


def test_a_prefix_that_lies_in_such_a_folder_was_asked_for():
    asked = Naming(-1, ("s3://b/@eaDir",), False)
    assert asked.side_file("s3://b/@eaDir/Kiwi/a.jpg") is None
    assert asked.side_file("s3://b/@eaDir/Kiwi/._a.jpg") == "side files of macOS"


def test_what_is_skipped_is_counted_and_told_in_one_line():
    choice = ImageFilter(Naming(-1, FRUIT, False), GLOB)
    listed = [*(f"._{n}.jpg" for n in range(20)), *(f"@eaDir/{n}.jpg" for n in range(10)), "a.jpg", "@eaDir/x.txt", ".DS_Store"]
    listed += ["a.DNG", "b.dng", "c.MOV", "README", "Thumbs.db", "odd.\u202egpj", ".hidden"]
    assert [name for name in listed if choice.takes(f"s3://b/fruit/{name}")] == ["a.jpg"]
    assert str(choice) == (
        "skipped: 20 side files of macOS, 10 thumbnails of a NAS; "
        "names that are not like *.{jpg,jpeg,png,webp,avif,heic,heif,hif}: 3 without an ending, 2 .dng, 1 .mov"
    )
    assert str(ImageFilter(Naming(-1, FRUIT, False), GLOB)) == ""


def test_only_the_most_frequent_endings_are_named():
    choice = ImageFilter(Naming(-1, FRUIT, False), GLOB)
    for number in range(20):
        choice.takes(f"s3://b/fruit/a.x{number}")
    assert str(choice).endswith("1 .x15 and 12 more kinds")
    assert image_filter.ending(f"a.{'x' * 9}") == "without an ending"


def test_images_of_a_folder_that_has_another_name_are_skipped(tmp_path):
    (tmp_path / "fruit" / "Kiwi").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "fruit")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "inner").symlink_to(tmp_path / "fruit" / "Kiwi")
    fruit, link, other = (f"file://{tmp_path}/{name}" for name in ("fruit", "link", "other"))
    choice = ImageFilter(Naming(-1, (fruit, other, link), False), GLOB)
    assert choice.takes(f"{fruit}/Kiwi/a.jpg")
    assert choice.takes(f"{other}/a.jpg")
    assert not choice.takes(f"{other}/inner/a.jpg")
    assert not choice.takes(f"{link}/Kiwi/a.jpg")
    assert not choice.would_take(f"{link}/Kiwi/a.jpg")
    assert choice.would_take(f"{fruit}/Kiwi/._a.jpg")
    assert str(choice) == f"skipped: 2 images that have another name, in {fruit}/Kiwi"
    assert Links((link, fruit)).own_name(f"{fruit}/Kiwi") == f"{link}/Kiwi"  # the first name under which there were rows
    assert Links((fruit,)).own_name("s3://b/Kiwi") == "s3://b/Kiwi"


def test_what_is_kept_is_json_that_the_root_may_hold(root):
    naming.keep(root, Naming(-1, FRUIT, False))
    kept = json.loads(Path(root.removeprefix("file://"), "labels.json").read_text())
    assert kept == {"level": -1, "prefixes": ["s3://b/fruit"], "takes_side_files": False}
    assert objects.children(root) == ["labels.json"]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["Kiwi", "Lemon", ""], ""),
        (["Kiwi", "kiwi", "Lemon"], '"Kiwi", "kiwi"'),
        (["Kiwi ", "Kiwi"], '"Kiwi", "Kiwi "'),
        (["P\u00eache", "Pe\u0302che"], r'"Pe\u0302che", "P\u00eache"'),
        (["Apple  Golden", "apple golden", "Ｋiwi", "Kiwi"], '"Apple  Golden", "apple golden"; "Kiwi", "Ｋiwi"'),  # noqa: RUF001
        ([one for letter in "abcde" for one in (letter, letter.upper())], '"A", "a"; "B", "b"; "C", "c"; and 2 more'),
    ],
)
def test_labels_that_a_person_takes_for_one_are_told_apart(labels, said):
    assert look_alikes.listed(labels) == said


@pytest.mark.parametrize("body", [b"", b'{"level": -1, "prefixes"', b"[]", b'{"level": -1}'])
def test_a_rule_that_was_cut_is_told_in_one_line(root, body):
    objects.write(f"{root}/labels.json", body)
    with pytest.raises(Damaged, match=r"labels\.json: does not say which folder is the label .* restore it"):
        naming.of(root)
