"""`fruitpipe identify`, on a version of drawn fruits that is made without Spark."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from fruitpipe import cli, objects
from fruitpipe.errors import Damaged, NotFound
from fruitpipe.extractor.arrow_schema import REFERENCES
from fruitpipe.extractor.featurise import Featuriser
from fruitpipe.extractor.inference import ModelFile, fingerprint
from fruitpipe.identification import identifier, input_pictures, nearest
from fruitpipe.identification.identifier import Identifier
from fruitpipe.pictures import drawn
from fruitpipe.refit import publication
from fruitpipe.settings import default_model
from tests.commands import CHECKOUT, of_page, run
from tests.encodings import COLOUR, JPEG, encoded
from tests.heics import HEIC
from tests.oracle import vector_of
from tests.versions import publish_pictures

LABELS, EACH = 4, 8
PAGE = (CHECKOUT / "docs" / "identify.md").read_text()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    drawn.draw(folder, labels=LABELS, images_per_label=EACH)
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory, images):
    """A root whose version holds all images but the last of each label."""
    root = f"file://{tmp_path_factory.mktemp('root')}"
    publish_pictures(root, [path for path in sorted(images.rglob("*.jpg")) if int(path.stem) < EACH - 1])
    return root


@pytest.fixture
def identify(root, capsys):
    """Runs the command; gives its exit code, what it printed, and its errors."""

    def run(*arguments, root=root):
        with pytest.raises(SystemExit) as ended:
            cli.main(["identify", "--root", root, *map(str, arguments)])
        printed = capsys.readouterr()
        return ended.value.code, printed.out.splitlines(), printed.err.splitlines()

    return run


def last_of(images, label):
    return images / label / f"{EACH - 1:04}.jpg"


def test_a_picture_is_named_with_its_runner_up_and_the_nearest_images(identify, images):
    code, (line,), errors = identify(last_of(images, "Banana"))
    assert (code, errors) == (0, [])
    assert line.startswith(f"file://{images}/Banana/{EACH - 1:04}.jpg: Banana ")
    near = line.split("; nearest ")[1].split(", ")
    assert len(near) == 3
    assert all(path.startswith(f"file://{images}/Banana/") for path in near)


def test_json_says_what_the_classifier_does(identify, images, root):
    label = "Banana"
    code, (line,), _ = identify(last_of(images, label), "--json", "--nearest", 2)
    found, named = json.loads(line), publication.load_classifier(root)
    features = vector_of(last_of(images, label).read_bytes())[np.newaxis]
    (answer,) = named.identify(features)
    assert code == 0
    assert (found["likeliest"], found["label"]) == (label, label)
    assert found["probability"] == pytest.approx(answer.probability)
    assert found["novelty"] == pytest.approx(answer.novelty)
    assert len(found["nearest"]) == 2


def test_the_nearest_images_are_those_that_numpy_finds(images, root):
    paths = [path for path in sorted(images.rglob("*.jpg")) if int(path.stem) < EACH - 1]
    reduction = publication.load_reduction(root)
    reduced = reduction.transform(np.stack([vector_of(path.read_bytes()) for path in paths]))
    queries = reduction.transform(np.stack([vector_of(last_of(images, one).read_bytes()) for one in ("Banana", "Kiwi")]))
    found = nearest.nearest(root, "v000001", queries, 5)
    for query, near in zip(queries, found, strict=True):
        apart = np.linalg.norm(reduced - query, axis=1)
        assert [one.path for one in near] == [f"file://{paths[place]}" for place in np.argsort(apart)[:5]]
        np.testing.assert_allclose([one.distance for one in near], np.sort(apart)[:5], rtol=1e-5)
        assert {Path(one.path).parent.name == one.label for one in near} == {True}


def test_what_no_label_explains_is_unknown_and_the_likeliest_is_named_all_the_same(identify, tmp_path):
    noise = drawn_noise(tmp_path / "noise.png")
    code, (line,), _ = identify(noise, "--nearest", 0)
    assert code == 0
    assert line.startswith(f"file://{noise}: unknown; of the known ")
    found = json.loads(identify(noise, "--nearest", 0, "--json")[1][0])
    assert found["label"] is None
    assert found["likeliest"]
    assert found["nearest"] == []


def drawn_noise(path):
    from PIL import Image

    Image.fromarray(np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)).save(path)
    return path


def test_a_folder_is_looked_through_and_a_bad_picture_gets_its_reason(identify, images, tmp_path):
    (tmp_path / "good.jpg").write_bytes(last_of(images, "Kiwi").read_bytes())
    (tmp_path / "bad.jpg").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no picture")
    code, lines, errors = identify(tmp_path)
    assert code == 1
    assert [line.split(": ")[1].split()[0] for line in lines] == ["Kiwi"]
    assert errors == [f"file://{tmp_path}/bad.jpg: empty: 0 bytes"]
    found = [json.loads(line) for line in identify(tmp_path, "--json")[1]]
    assert [one.get("error") for one in found] == ["empty", None]


def test_a_picture_of_which_the_network_gives_nan_has_no_answer_and_the_others_have_theirs(identify, images, monkeypatch):
    features = iter([np.full(1280, np.nan, np.float32), vector_of(last_of(images, "Kiwi").read_bytes())])
    monkeypatch.setattr(identifier, "network_for", lambda _: lambda _: next(features))
    code, (bad, good), _ = identify("--json", last_of(images, "Banana"), last_of(images, "Kiwi"))
    assert code == 1
    assert json.loads(bad)["error"] == "not-finite"
    assert json.loads(good)["label"] == "Kiwi"


def test_neither_spark_nor_pandas_is_loaded_for_an_answer(root, images):
    code = (
        "import sys\nfrom fruitpipe import cli\n"
        f"try: cli.main(['identify', '--root', {root!r}, {str(last_of(images, 'Kiwi'))!r}])\n"
        "except SystemExit as ended: print(ended.code, sorted({'pyspark', 'pandas', 'boto3', 'deltalake'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "0 []"


def test_the_same_picture_twice_is_answered_twice(identify, images):
    assert len(identify(last_of(images, "Kiwi"), last_of(images, "Kiwi"))[1]) == 2


@pytest.mark.parametrize(
    ("place", "message"), [("nowhere", "there is no such picture or folder"), ("docs", "no name in it is like")]
)
def test_nothing_to_look_at_is_told_in_a_line(identify, tmp_path, place, message):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("x")
    code, lines, errors = identify(tmp_path / place)
    assert (code, lines, len(errors)) == (1, [], 1)
    assert message in errors[0]


def test_a_large_picture_is_not_read(monkeypatch, images):
    monkeypatch.setattr(input_pictures, "MAX_IMAGE_BYTES", 10)
    assert input_pictures.read(f"file://{last_of(images, 'Kiwi')}").reason == "too-large"


def test_the_model_file_of_another_extractor_is_refused(identify, images, tmp_path):
    publish_pictures(f"file://{tmp_path}", sorted(images.rglob("*.jpg")), extractor="0123456789abcdef")
    code, _, errors = identify(last_of(images, "Kiwi"), root=f"file://{tmp_path}")
    assert code == 1
    assert "and v000001 was made by 0123456789abcdef; give its model with --model" in errors[0]


PHOTOGRAPH = COLOUR.resize((1400, 1350), Image.Resampling.BICUBIC)
FILES = {
    "large.jpg": encoded(PHOTOGRAPH, "JPEG"),
    "large.png": encoded(PHOTOGRAPH, "PNG"),
    "small.jpg": JPEG,
    "a.avif": encoded(COLOUR, "AVIF"),
    "a.heic": HEIC["plain"],
}


@pytest.mark.parametrize("in_full", [False, True], ids=["scaled", "full"])
@pytest.mark.parametrize("name", FILES)
def test_a_picture_gets_the_vector_that_the_stream_gives_it(root, tmp_path, name, in_full):
    """Whatever its format and size, and though all rows of the version are of small JPEGs."""
    path, model = tmp_path / name, ModelFile.load(default_model())
    path.write_bytes(FILES[name])
    worker = Featuriser(SimpleNamespace(value=model), fingerprint(model), 50_000_000, in_full=in_full)
    (rows,) = worker([pa.RecordBatch.from_pylist([{"path": f"file://{path}"}], REFERENCES)])
    found = Identifier.of(root, default_model(), in_full=in_full)._features(f"file://{path}")
    np.testing.assert_array_equal(found, np.array(rows.to_pylist()[0]["features"], np.float32))


def test_the_two_ways_of_a_large_photograph_give_two_vectors(root, tmp_path):
    path = tmp_path / "large.jpg"
    path.write_bytes(FILES["large.jpg"])
    scaled, full = (Identifier.of(root, default_model(), in_full=how)._features(f"file://{path}") for how in (False, True))
    assert (scaled != full).any()


@pytest.mark.parametrize(
    ("there", "flags", "told"),
    [
        ({"large": "full"}, [], "its large pictures were decoded as full, and here it would be scaled-2; give --decode full"),
        ({"large": "full"}, ["--decode", "full"], None),
        ({"large": "scaled-2"}, [], None),
        ({"large": "scaled-2"}, ["--decode", "full"], "as scaled-2, and here it would be full; give --decode scaled"),
        ({"large": "scaled-0"}, [], "as scaled-0, and here it would be scaled-2; run fruitpipe reconcile"),
        ({"heif": "heif-0.1"}, [], "its heif pictures were decoded as heif-0.1, and here it would be heif-"),
        ({"another": "another-1"}, [], None),  # of a decoder that is not installed here: such a picture has no vector
    ],
)
def test_a_version_whose_pictures_were_decoded_otherwise_is_refused(identify, images, tmp_path, there, flags, told):
    root = f"file://{tmp_path}"
    publish_pictures(root, sorted(images.rglob("*.jpg")), preprocessing=there)
    code, lines, errors = identify(last_of(images, "Kiwi"), "--nearest", "0", *flags, root=root)
    assert (code, len(lines), len(errors)) == ((1, 0, 1) if told else (0, 1, 0))
    assert (told or "") in "".join(errors)


def test_without_a_version_the_way_to_one_is_told(identify, images, tmp_path):
    code, _, errors = identify(last_of(images, "Kiwi"), root=f"file://{tmp_path}")
    assert code == 1
    assert "run fruitpipe refit" in errors[0]


def test_a_missing_file_of_the_version_is_named(images, tmp_path):
    root = f"file://{tmp_path}"
    publish_pictures(root, sorted(images.rglob("*.jpg")))
    objects.delete(f"{publication.reduced_uri(root, 'v000001')}/part-0.parquet")
    with pytest.raises(Damaged, match=r"part-0\.parquet: is missing"):
        nearest.nearest(root, "v000001", np.zeros((1, 3), np.float32), 1)


def test_named_pictures_come_in_their_order_and_side_files_of_systems_are_no_pictures(tmp_path):
    for name in ("b.jpg", "a.PNG", "._a.jpg", "x.txt"):
        (tmp_path / name).write_bytes(b"")
    found = input_pictures.named_by([str(tmp_path / "x.txt"), str(tmp_path)])
    assert [objects.name(uri) for uri in found] == ["x.txt", "a.PNG", "b.jpg"]
    with pytest.raises(NotFound, match="no such picture or folder"):
        input_pictures.named_by([str(tmp_path / "c.jpg")])


def test_a_name_at_which_nothing_lies_ends_it_before_the_first_answer(identify, images, monkeypatch):
    monkeypatch.setattr(identifier, "AT_A_TIME", 1)
    said = identify("--nearest", "0", last_of(images, "Kiwi"), "nowhere.jpg")
    assert said == (1, [], ["error: nowhere.jpg: there is no such picture or folder"])


def test_the_commands_and_the_snippet_of_the_page_run_as_they_stand_there(root, images, tmp_path, monkeypatch, capsys):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "root").symlink_to(root.removeprefix("file://"))
    (tmp_path / "demo" / "images").symlink_to(images)
    monkeypatch.chdir(tmp_path)
    for line in of_page("identify.md")[""]:
        assert run(line) == 0, line
    assert len(capsys.readouterr().out.splitlines()) == 1 + EACH
    features = vector_of(last_of(images, "Kiwi").read_bytes())[np.newaxis]
    scope = {"root": root, "features": features}
    exec(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1], scope)
    assert scope["answers"][0].label == "Kiwi"


def test_a_program_of_ones_own_gets_the_same_from_the_arrays_as_the_page_describes_them(identify, root, images):
    picture = last_of(images, "Kiwi")
    found = json.loads(identify(picture, "--json", "--nearest", "0")[1][0])
    with np.load(root.removeprefix("file://") + "/models/v000001/classifier.npz") as arrays:
        described = set(re.findall(r"`(\w+)`", PAGE.split("| array | shape |")[1].split("\n\n")[0]))
        assert set(arrays.files) <= described
        z = (vector_of(picture.read_bytes()) - arrays["mean"]) @ arrays["whitening"]
        distances = ((z - arrays["centres"]) ** 2).sum(axis=1)
        scores = (np.log(arrays["counts"] / arrays["counts"].sum()) - distances / 2) / arrays["temperature"]
        shares = np.exp(scores - scores.max())
        assert found["likeliest"] == arrays["labels"][shares.argmax()]
        assert found["probability"] == pytest.approx(shares.max() / shares.sum())
        assert found["novelty"] == pytest.approx(distances.min() / (z**2).sum())
        assert (found["label"] is None) == (distances.min() > arrays["most_novel"] * (z**2).sum())
