"""What the comparison with other engines makes of the lines that it reads; the engines themselves run in `make bench`."""

import json
import os

import numpy as np
import pytest

from benchmarks import compare, engine, engines, photographs, results, scenes, written
from fruitpipe.extractor.inference import ModelFile, Network
from fruitpipe.pictures import drawn
from fruitpipe.pictures.decoding import decode
from fruitpipe.settings import default_model

ALIKE = {"machine": "m", "code": "c", "photographs": "9 photographs", "versions": "v 1", "load": 0.1}


def test_only_the_two_lines_of_an_engine_tell_of_moments():
    lines = [
        "batch 0: 9 featurised\n",
        "7\n",
        '{"files": 3}\n',
        json.dumps({"engine": engine.UP}),
        json.dumps({"engine": engine.DONE}),
    ]
    assert [engine.moment(line) for line in lines] == [None, None, None, engine.UP, engine.DONE]


def test_the_table_holds_medians_spreads_and_ratios_to_the_bound_of_the_same_round(tmp_path):
    file = tmp_path / "bench.jsonl"
    for name, images, seconds in [(engines.BOUND.name, 1000, (4, 5, 10)), ("Daft", 500, (2.5, 5, 10))]:
        for round_, within in enumerate(seconds):
            line = ALIKE | {"part": "throughput", "engine": name, "round": round_, "images": images}
            results.record(file, line | {"whole": within * 2, "within": within})
    small = ALIKE | {"part": "small", "engine": "Daft", "round": 0, "kind": "cold", "images": 2016}
    results.record(file, small | {"whole": 12.345, "within": None})
    lines = results.table(file).splitlines()
    assert lines[0] == "m; 9 photographs; code c; load average before a run 0.1 (0.1 to 0.1)"
    bound = "200 (100 to 250) | 1.00 (1.00 to 1.00) | 100 (50 to 125) | 3 | v 1 |"
    assert f"| {engines.BOUND.name} | 1,000 | {bound}" in lines
    assert "| Daft | 500 | 100 (50 to 200) | 0.50 (0.50 to 0.80) | 50 (25 to 100) | 3 | v 1 |" in lines
    assert "| Daft | 12.3 (12.3 to 12.3) s |  |  | 1 | v 1 |" in lines


@pytest.mark.parametrize("key", ["machine", "versions", "code", "images", "photographs"])
def test_results_of_other_machines_versions_code_or_images_are_not_mixed(tmp_path, key):
    file, line = tmp_path / "bench.jsonl", ALIKE | {"part": "throughput", "engine": "Daft", "round": 0, "images": 9}
    results.record(file, line)
    results.expect(file, line | {"round": 1})
    with pytest.raises(SystemExit, match=f"has {key} {line[key]}, not another; remove it, or name another"):
        results.expect(file, line | {key: "another"})


def test_a_run_that_the_results_hold_is_not_made_again(tmp_path, monkeypatch):
    file, made = tmp_path / "bench.jsonl", []

    def run(of, images, _out, _peers):
        made.append((of.name, len(list(images.glob("*/*.jpg")))))
        return engines.Took(2, 1)

    monkeypatch.setattr(engines, "run", run)
    put(tmp_path / "photographs", "Kiwi/1.jpg", "Pear/1.jpg")
    monkeypatch.setattr("sys.argv", ["compare.py", "throughput", "--results", str(file), "--images", "32", "--rounds", "1"])
    monkeypatch.setattr(engines, "versions", lambda *_: "v 1")
    monkeypatch.setattr(compare, "PHOTOGRAPHS", tmp_path / "photographs")
    for _ in range(2):
        compare.main()
    assert made == [(of.name, 32 // of.one_in) for of in engines.THROUGHPUT.values()]


def test_pictures_are_repeated_under_other_names_where_they_are_fewer(tmp_path):
    put(tmp_path / "photographs", "Kiwi/1.jpg", "Pear/1.jpg")
    folder = compare.pictures(tmp_path / "images", 3, tmp_path / "photographs")
    found = {str(file.relative_to(folder)): file.read_text() for file in folder.glob("*/*.jpg")}
    assert found == {"Kiwi/0-1.jpg": "Kiwi/1.jpg", "Kiwi/1-1.jpg": "Kiwi/1.jpg", "Pear/0-1.jpg": "Pear/1.jpg"}


def test_without_photographs_pictures_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(compare, "DRAWN_PER_LABEL", 1)
    folder, said = compare.photographs(tmp_path / "none", tmp_path / "drawn")
    assert (said, len(list(folder.glob("*/*.jpg")))) == ("12 drawn pictures", 12)
    assert compare.photographs(folder, tmp_path / "unused") == (folder, "12 photographs")


def test_rows_that_an_engine_got_wrong_are_found(tmp_path):
    drawn.draw(tmp_path, labels=2, images_per_label=2)
    files = sorted(tmp_path.glob("*/*.jpg"))
    extract = Network(ModelFile.load(default_model()).body)
    paths, labels = [file.as_uri() for file in files], [file.parent.name for file in files]
    rows = written.Rows(paths, labels, np.stack([extract(decode(file.read_bytes()).pixels) for file in files]))
    assert written.fault(rows, tmp_path) is None
    other = rows.features.copy()
    other[2, 7] += 0.01
    wrong = {
        "3 rows of 3 images, expected one for each of 4": written.Rows(paths[1:], labels[1:], rows.features[1:]),
        "4 rows of 3 images, expected one for each of 4": rows._replace(paths=[paths[1], *paths[1:]]),
        "a label is not the name of its image's folder": rows._replace(labels=labels[::-1]),
        f"{files[2]}: a feature differs by 0.01 from the product's, more than 0.0001": rows._replace(features=other),
    }
    assert {said: written.fault(rows, tmp_path) for said, rows in wrong.items()} == {said: said for said in wrong}


def test_an_engine_is_held_to_vectors_of_its_own_way_of_decoding(tmp_path):
    """Decoded in full they are others than the product's, and by other decoders near them."""
    scenes.draw(tmp_path, (1344, 1344), 2)
    files = sorted(tmp_path.glob("*/*.jpg"))
    extract = Network(ModelFile.load(default_model()).body)
    vectors = [extract(decode(file.read_bytes(), in_full=True).pixels) for file in files]
    rows = written.Rows([str(file) for file in files], [file.parent.name for file in files], np.stack(vectors))
    assert photographs.ENGINES["before"].is_in_full
    assert written.fault(rows, tmp_path, is_in_full=True) is None
    assert "a feature differs by" in str(written.fault(rows, tmp_path))
    assert written.fault(rows, tmp_path, least_cosine=0.99) is None
    other = rows._replace(features=rows.features[::-1])
    assert "the cosine to the product's vector is 0." in str(written.fault(other, tmp_path, least_cosine=0.99))


def test_the_build_of_before_runs_in_an_environment_of_its_own(tmp_path, monkeypatch):
    """It knows an older Spark, and its versions in the results are those of that environment."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "pyspark 4.0.2"\n')
    python.chmod(0o755)
    monkeypatch.setattr(photographs, "checkout", lambda folder: folder.mkdir())  # a shallow clone has no such commit
    before = photographs.build_of_before(os.path.relpath(python), tmp_path / "before")
    assert (before.python, before.checkout) == (str(python), tmp_path / "before")
    assert engines.versions(before, peers="") == "pyspark 4.0.2"


def put(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
