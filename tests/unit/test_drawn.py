"""The drawn data set: the same bytes every time, only what is missing, and fruits that the extractor can tell apart."""

import io
import time

import numpy as np
import pytest
from PIL import Image

from fruitpipe.errors import NotFound, WrongUsage
from fruitpipe.extractor.inference import ModelFile, network_for
from fruitpipe.pictures.decoding import decode
from fruitpipe.pictures.drawn import FRUITS, draw, jpeg
from fruitpipe.settings import default_model


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The whole set of 12 x 20, and the seconds that it took."""
    folder, start = tmp_path_factory.mktemp("sample"), time.process_time()
    assert draw(folder) == 240
    return folder, time.process_time() - start


def bytes_by_name(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.jpg"))}


def test_there_are_twenty_pictures_in_a_folder_of_each_of_twelve_labels(drawn):
    folder, _ = drawn
    assert {path.name: len(list(path.iterdir())) for path in folder.iterdir()} == dict.fromkeys(FRUITS, 20)
    assert len(FRUITS) == 12


def test_a_picture_is_a_jpeg_of_100_pixels_on_white(drawn):
    folder, _ = drawn
    for path in folder.rglob("*.jpg"):
        picture = Image.open(path)
        corners = [picture.getpixel((x, y)) for x in (0, 99) for y in (0, 99)]
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (100, 100))
        assert min(map(min, corners)) > 240, path


def test_the_whole_set_is_drawn_in_seconds(drawn):
    _, seconds = drawn
    assert seconds < 6, "about 2 on one core; twice the 3 that are promised, as other processes may run"


def test_no_two_pictures_are_the_same(drawn):
    bodies = bytes_by_name(drawn[0])
    assert len(set(bodies.values())) == len(bodies)


def test_drawing_again_gives_the_same_bytes(drawn, tmp_path):
    draw(tmp_path, labels=12, images_per_label=2)
    whole = bytes_by_name(drawn[0])
    assert {name: whole[name] for name in bytes_by_name(tmp_path)} == bytes_by_name(tmp_path)


def test_asking_for_more_draws_only_the_new_ones_and_touches_nothing_else(tmp_path):
    assert draw(tmp_path, labels=2, images_per_label=3) == 6
    (tmp_path / "Banana" / "0001.jpg").write_bytes(b"mine")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*.jpg")}
    assert draw(tmp_path, labels=2, images_per_label=5) == 4
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before
    assert len(list(tmp_path.rglob("*"))) == 2 + 10, "and no temporary file is left"


def test_asking_again_or_for_less_draws_nothing(tmp_path):
    draw(tmp_path, labels=1, images_per_label=2)
    assert draw(tmp_path, labels=1, images_per_label=2) == draw(tmp_path, labels=1, images_per_label=1) == 0


@pytest.mark.parametrize("labels", [0, -1, 13])
def test_a_number_of_labels_that_cannot_be_is_refused_with_the_bounds(tmp_path, labels):
    with pytest.raises(WrongUsage, match=f"{labels} labels: there are 1 to 12"):
        draw(tmp_path, labels=labels)


def test_no_images_per_label_is_refused_with_the_bound(tmp_path):
    with pytest.raises(WrongUsage, match="0 images per label: at least 1"):
        draw(tmp_path, images_per_label=0)


def test_a_file_in_the_way_of_the_folder_is_named(tmp_path):
    (tmp_path / "images").write_bytes(b"")
    with pytest.raises(NotFound, match="images"):
        draw(tmp_path / "images", labels=1, images_per_label=1)


@pytest.mark.parametrize("label", FRUITS)
def test_a_fruit_is_never_cut_off_by_the_edge(label):
    for number in range(40):
        pixels = np.asarray(Image.open(io.BytesIO(jpeg(label, number))), np.int16)
        frame = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        assert (frame.min(axis=1) < 160).sum() <= 6, number


def test_the_nearest_neighbour_of_a_picture_has_its_label(drawn):
    network = network_for(ModelFile.load(default_model()))
    bodies = bytes_by_name(drawn[0])
    labels = np.array([name.split("/")[0] for name in bodies])
    vectors = np.stack([network(decode(body).pixels) for body in bodies.values()]).astype(np.float64)
    squares = (vectors**2).sum(axis=1)
    distances = squares[:, None] + squares - 2 * vectors @ vectors.T
    np.fill_diagonal(distances, np.inf)
    assert (labels[distances.argmin(axis=1)] == labels).mean() >= 0.95
