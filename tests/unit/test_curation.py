"""`fruitpipe duplicates` and `fruitpipe outliers`, on a version of drawn fruits that is made without Spark."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from sklearn.neighbors import NearestNeighbors

from fruitpipe import cli, objects
from fruitpipe.cli.curate import DIFFERENCE
from fruitpipe.curation import duplicates, page, points
from fruitpipe.erasure import register
from fruitpipe.errors import NotEnoughRows, WrongUsage
from fruitpipe.pictures import drawn, likeness
from fruitpipe.reduction.nearest import nearest_others
from fruitpipe.refit import publication
from tests.commands import of_page
from tests.commands import run as run_line
from tests.oracle import vector_of
from tests.versions import publish_pictures

EACH = 10
ODD = 'a<img src=x onerror=alert(1)>\u202e "b".jpg'  # a name that would be markup, and turns the direction of writing
CHANGES = {  # quality of the JPEG, and what else is done to a copy
    "Apple Red": (60, lambda image: image),
    "Banana": (90, lambda image: image.resize((160, 160))),
    "Kiwi": (90, lambda image: image.resize((70, 70))),
    "Orange": (90, lambda image: image.crop((2, 2, 98, 98))),
    "Strawberry": (90, lambda image: ImageEnhance.Brightness(image).enhance(0.85)),
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Of each label pictures and a changed copy of the first; a Banana among the Kiwis, an Orange among the Apples."""
    folder = tmp_path_factory.mktemp("images")
    drawn.draw(folder, labels=len(CHANGES), images_per_label=EACH)
    for label, (quality, changed) in CHANGES.items():
        copy = folder / label / (ODD if label == "Banana" else "copy.jpg")
        changed(Image.open(folder / label / "0000.jpg")).save(copy, "JPEG", quality=quality)
    (folder / "Banana" / "0005.jpg").rename(folder / "Kiwi" / "wrong.jpg")
    (folder / "Orange" / "0007.jpg").rename(folder / "Apple Red" / "wrong.jpg")
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory, images):
    root = f"file://{tmp_path_factory.mktemp('root')}"
    publish_pictures(root, sorted(images.rglob("*.jpg")))
    return root


@pytest.fixture
def run(root, capsys):
    """Runs a command; gives its exit code, the lines that it printed, and its errors."""

    def run(*arguments, root=root):
        with pytest.raises(SystemExit) as ended:
            cli.main([arguments[0], "--root", root, *map(str, arguments[1:])])
        printed = capsys.readouterr()
        return ended.value.code, printed.out.splitlines(), printed.err.splitlines()

    return run


def test_the_planted_copies_are_the_duplicates_and_nothing_else_is(run, images):
    code, lines, errors = run("duplicates", "--json")
    groups = [{image["path"] for image in json.loads(line)["images"]} for line in lines]
    planted = [{f"file://{images}/{label}/0000.jpg"} for label in CHANGES]
    for group, label in zip(planted, CHANGES, strict=True):
        group.add(f"file://{images}/{label}/{ODD if label == 'Banana' else 'copy.jpg'}")
    assert code == 0
    assert sorted(map(sorted, groups)) == sorted(map(sorted, planted))  # precision and recall are 1
    assert errors == [f"{len(CHANGES) * (EACH + 1)} images of v000001: 5 groups of duplicates with 10 images"]


def test_pictures_under_a_wrong_label_are_the_outliers_and_nothing_else_is(run, images):
    code, lines, _ = run("outliers", "--json")
    found = {one["path"]: (one["label"], one["majority"]) for one in map(json.loads, lines)}
    assert code == 0
    assert found == {
        f"file://{images}/Kiwi/wrong.jpg": ("Kiwi", "Banana"),
        f"file://{images}/Apple Red/wrong.jpg": ("Apple Red", "Orange"),
    }


def test_text_names_the_images_of_a_group_and_those_near_an_outlier(run, images):
    _, groups, _ = run("duplicates")
    assert f"2 alike: file://{images}/Kiwi/0000.jpg, file://{images}/Kiwi/copy.jpg" in groups
    _, odd, _ = run("outliers", "--neighbours", 5)
    (line,) = [one for one in odd if one.startswith(f"file://{images}/Kiwi/wrong.jpg: ")]
    assert line.startswith(f"file://{images}/Kiwi/wrong.jpg: Kiwi, among Banana (5 of 5); nearest file://{images}/Banana/")


def test_a_picture_under_two_labels_is_told_with_both(run, images, tmp_path):
    twice = tmp_path / "Lemon" / "same.jpg"
    twice.parent.mkdir()
    twice.write_bytes((images / "Kiwi" / "0003.jpg").read_bytes())
    root = f"file://{tmp_path}/root"
    publish_pictures(root, [*sorted((images / "Kiwi").glob("000[2-5].jpg")), twice])
    _, lines, _ = run("duplicates", root=root)
    assert lines == [
        f"2 alike: file://{images}/Kiwi/0003.jpg, file://{twice}; labels Kiwi, Lemon",
        "5 images of v000001: 1 groups of duplicates with 2 images",
    ]


def test_groups_of_several_labels_come_first_and_images_that_are_gone_are_counted(images):
    paths = [
        f"file://{images}/{name}.jpg" for name in ("Apple Red/0000", "Apple Red/copy", "Kiwi/0000", "Kiwi/copy", "Kiwi/gone")
    ]
    rows = points.Points("v000001", paths, ["Apple", "Apple", "Kiwi", "Lemon", "Kiwi"], np.eye(5, dtype=np.float32))
    found = duplicates.find(rows, DIFFERENCE)
    assert [[image.path for image in group.images] for group in found.groups] == [paths[2:4], paths[:2]]
    assert found.unread == 1


def test_a_chain_of_copies_is_one_group():
    paths = [f"file:///{number}.jpg" for number in range(6)]
    rows = points.Points("v000001", paths, ["Kiwi"] * 6, np.eye(6, dtype=np.float32))
    first, second, apart = np.array([3, 0, 1, 0]), np.array([5, 1, 5, 3]), np.array([0.01, 0.02, 0.03, 0.01])
    (group,) = duplicates.grouped(rows, first, second, apart)
    assert [image.path for image in group.images] == [paths[number] for number in (0, 1, 3, 5)]
    assert group.difference == 0.03


def test_a_page_shows_the_pictures_and_no_name_is_markup(run, tmp_path):
    for command in ("duplicates", "outliers"):
        code, _, errors = run(command, "--page", tmp_path / f"{command}.html")
        text = (tmp_path / f"{command}.html").read_text()
        assert (code, errors[-1]) == (0, f"{tmp_path}/{command}.html: written")
        assert text.count("data:image/webp;base64,") == text.count("<figure>") > 0
        assert "<script" not in text
        assert "default-src 'none'" in text
    text = (tmp_path / "duplicates.html").read_text()
    assert "a&lt;img src=x onerror=alert(1)&gt;" in text
    assert "\u202e" not in text
    assert "<img src=x" not in text


def test_a_page_beside_the_reports_of_the_root_is_refused(root, run):
    code, _, (line,) = run("outliers", "--page", f"{root}/outliers.html")
    assert code == 2
    assert "lies in the root, whose files are the pipeline's" in line


def test_a_page_through_a_link_into_the_root_or_in_place_of_a_report_is_refused(root, run, tmp_path):
    (tmp_path / "link").symlink_to(root.removeprefix("file://"))
    for place, said in ((f"{tmp_path}/link/events/x.html", "lies in the root"), (f"{root}/reports/v000001.html", "of a version")):
        code, _, (line,) = run("duplicates", "--page", place)
        assert (code, said in line) == (2, True), line
    page.check_place(f"{root}/reports/outliers.html", root)
    with pytest.raises(WrongUsage):
        page.check_place(f"{root}/reduced/outliers.html", root)


def test_a_page_below_the_reports_that_was_made_while_an_image_was_erased_is_removed_again(root, run, monkeypatch, tmp_path):
    for place, stays in ((f"{root}/reports/outliers.html", False), (f"file://{tmp_path}/outliers.html", True)):
        monkeypatch.setattr(register, "gone_from_table", lambda _: frozenset({"20261105T100000-0123abcd"}))
        code, _, errors = run("outliers", "--page", place)
        assert (code, objects.exists(place)) == (int(not stays), stays)
        assert errors[-1].endswith("written" if stays else "so it was removed again; run the command again")


def test_a_page_has_the_first_sections_that_fit_and_says_of_how_many(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "MOST_PICTURES", 5)
    sections = [page.Section("2 images", ((f"file:///{number}.jpg", "Kiwi"),) * 2) for number in range(4)]
    page.write(f"{tmp_path}/page.html", "Duplicates", "Found.", sections)
    text = (tmp_path / "page.html").read_text()
    assert text.count("<section") == 2
    assert "The first 2 of 4 are on this page." in text


def test_a_version_without_two_images_cannot_be_compared(root, monkeypatch):
    monkeypatch.setattr(publication, "check_files", lambda *_: None)
    monkeypatch.setattr(points.vector_files, "listed", lambda _: [])
    with pytest.raises(NotEnoughRows, match="has 0 images; at least 2 can be compared"):
        points.read(root)


def test_points_are_the_reduced_features_half_whitened_and_at_length_1(images, root):
    paths = sorted(images.rglob("*.jpg"))
    found = points.read(root)
    reduction = publication.load_reduction(root)
    reduced = reduction.transform(np.stack([vector_of(path.read_bytes()) for path in paths])).astype(np.float64)
    scaled = reduced / np.sqrt(reduced.std(axis=0, ddof=1))
    by_path = {f"file://{path}": row / np.linalg.norm(row) for path, row in zip(paths, scaled, strict=True)}
    np.testing.assert_allclose(found.vectors, np.stack([by_path[path] for path in found.paths]), atol=1e-4)


@pytest.mark.parametrize(("count", "offset"), [(1, 0.0), (7, 0.0), (7, 30.0)])
def test_nearest_others_are_those_of_scikit_learn_in_float64(count, offset):
    rows = (np.random.default_rng(0).normal(size=(700, 40)) + offset).astype(np.float32)
    expected = (
        NearestNeighbors(n_neighbors=count, algorithm="brute").fit(rows.astype(np.float64)).kneighbors(return_distance=False)
    )
    np.testing.assert_array_equal(nearest_others(rows, count), expected)


def test_ties_go_by_number_and_a_point_is_not_its_own_neighbour():
    rows = np.zeros((300, 4), np.float32)
    rows[299] = 1
    found = nearest_others(rows, 2)
    np.testing.assert_array_equal(found[0], [1, 2])
    np.testing.assert_array_equal(found[1], [0, 2])
    np.testing.assert_array_equal(found[298], [0, 1])
    np.testing.assert_array_equal(nearest_others(rows[:2], 1), [[1], [0]])


def shrunk(image):
    body = io.BytesIO()
    image.save(body, "PNG")
    return np.frombuffer(likeness.shrunk(body.getvalue()), np.uint8).reshape(likeness.SHAPE)


def test_differences_are_those_of_the_correlation_whatever_the_brightness_and_contrast():
    rng = np.random.default_rng(0)
    one, other = (rng.integers(40, 160, (16, 16, 3), np.uint8) for _ in range(2))
    pictures = np.stack([shrunk(Image.fromarray(values)) for values in (one, other, one // 2 + 60)])
    pictures[:, 1:] = pictures[:, :1]  # whatever is cut off
    apart = likeness.differences(pictures, np.array([0, 0]), np.array([1, 2]))
    correlation = np.corrcoef(one.ravel(), other.ravel())[0, 1]
    assert apart[0] == pytest.approx(np.sqrt(2 - 2 * correlation), abs=1e-4)
    assert apart[1] < 0.02


@pytest.mark.parametrize("most", [0.0, 0.04, 0.3, 1.0, 2.0])
def test_pairs_that_are_told_apart_by_means_alone_are_those_that_differ_by_more(most):
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (40, 1, 768))
    noise = rng.normal(size=(40, *likeness.SHAPE)) * rng.choice([0, 1, 5, 20, 80], (40, 1, 1))
    pictures = np.clip(base[rng.integers(0, 8, 40)] + noise, 0, 255).astype(np.uint8)
    pictures[:2] = 128  # of one grey
    first, second = np.triu_indices(40, 1)
    apart = likeness.differences(pictures, first, second)
    assert 0 < (apart <= most).sum() <= len(apart)
    found = likeness.alike(pictures, first, second, most)
    for given, expected in zip(found, (first, second, apart), strict=True):
        np.testing.assert_array_equal(given, expected[apart <= most])


TURNED = [*Image.Transpose]  # all seven ways, as Pillow has them


def test_turned_and_mirrored_copies_are_found_wherever_their_vectors_lie(images, tmp_path, monkeypatch):
    monkeypatch.setattr(duplicates, "COMPARED", 1)
    planted = []
    for number, (transpose, label) in enumerate(zip(TURNED, [*CHANGES, *CHANGES], strict=False)):
        original, turned = tmp_path / f"{number}.png", tmp_path / f"{number}.jpg"
        Image.open(images / label / f"{number:04}.jpg").resize((120, 90)).save(original)
        Image.open(original).transpose(transpose).resize((75, 75)).save(turned, quality=75)
        planted.append([f"file://{turned}", f"file://{original}"])
    paths = [f"file://{images}/Orange/{number:04}.jpg" for number in (8, 9)] + [path for pair in planted for path in pair]
    rows = points.Points("v000001", paths, ["fruit"] * len(paths), np.eye(len(paths), dtype=np.float32))  # all near the first
    found = duplicates.find(rows, DIFFERENCE)
    assert sorted([image.path for image in group.images] for group in found.groups) == sorted(planted)


def by_numpy(one, other):
    """The least (2 - 2 r)^½ of a picture and another one that is turned, in float64."""
    flat = one.ravel().astype(np.float64)
    seven = [np.asarray(Image.fromarray(other).transpose(transpose), np.float64).ravel() for transpose in TURNED]
    return min(np.sqrt(max(2 - 2 * np.corrcoef(flat, turned)[0, 1], 0)) for turned in seven)


@pytest.mark.parametrize("most", [0.0, 0.04, 0.3])
def test_all_pairs_that_are_alike_once_turned_are_found_and_joined_as_numpy_has_them(most, monkeypatch):
    monkeypatch.setattr(likeness, "TILE", 7)
    monkeypatch.setattr(likeness, "SOME", 5)
    rng = np.random.default_rng(0)
    bases = [Image.fromarray(rng.integers(60, 196, (16, 16, 3), np.uint8)) for _ in range(6)]
    pictures = np.stack([np.asarray(bases[number % 6].transpose(TURNED[rng.integers(7)])) for number in range(40)])
    noise = rng.normal(size=pictures.shape) * rng.choice([0, 0, 1, 5, 20], (40, 1, 1, 1))
    pictures = np.clip(pictures + noise, 0, 255).astype(np.uint8)
    expected = {
        (one, other)
        for one in range(40)
        for other in range(one + 1, 40)
        if by_numpy(pictures[one], pictures[other]) <= most + 1e-6
    }
    values = pictures.reshape(40, 768)
    near = {pair for _, *both in likeness.near_turned(values, most) for pair in zip(*(one.tolist() for one in both), strict=True)}
    first, second, apart = duplicates.joined_by_turning(values, np.arange(40), most)
    assert 0 < len(expected) <= len(near) < 780
    assert {*zip(first.tolist(), second.tolist(), strict=True)} <= expected <= near
    assert apart == pytest.approx(
        [by_numpy(pictures[one], pictures[other]) for one, other in zip(first, second, strict=True)], abs=1e-3
    )
    of_all = duplicates.components(40, *np.array(sorted(expected)).T)
    np.testing.assert_array_equal(duplicates.components(40, first, second), of_all)


def test_of_pictures_that_are_alike_any_way_one_tile_of_pairs_is_held_and_each_joins_once(monkeypatch):
    monkeypatch.setattr(likeness, "TILE", 16)
    y, x = np.mgrid[-7.5:8, -7.5:8]
    ball = np.uint8(9 * np.hypot(x, y))[..., np.newaxis].repeat(3, axis=2)
    pictures = ball.reshape(1, 768).repeat(60, axis=0)
    assert max(len(first) for _, first, _ in likeness.near_turned(pictures, 0.04)) == 16 * 16
    for group, pairs in ((np.arange(60), 59), (np.arange(60) % 2, 1), (np.zeros(60, np.intp), 0)):
        assert len(duplicates.joined_by_turning(pictures, group, 0.04)[0]) == pairs


def test_pictures_of_one_grey_are_not_compared_turned():
    pictures = np.array([[0] * 768, [255] * 768, [128] * 767 + [130]], np.uint8)
    assert sum(len(first) for _, first, _ in likeness.near_turned(pictures, 1.0)) == 0


def test_what_is_no_picture_has_no_pixels():
    assert likeness.shrunk(b"no picture") is None


def test_the_commands_of_the_page_are_run(root, tmp_path, monkeypatch):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "root").symlink_to(root.removeprefix("file://"))
    monkeypatch.chdir(tmp_path)
    for line in of_page("look.md")[""]:
        assert run_line(line) == 0, line
    assert {path.name for path in (tmp_path / "demo").glob("*.html")} == {"duplicates.html", "outliers.html"}
