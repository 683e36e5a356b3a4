"""What the comparison with other engines makes of the lines that it reads; the engines themselves run in `make bench`."""

import json

import pytest

from benchmarks import compare


def test_fruitpipes_own_time_is_from_the_first_batchs_begin_to_the_last_commit():
    lines = [
        (10.0, "batch 0: 2000 featurised in 4.0 s (500 images/s)\n"),
        (13.0, "batch 0: 1000 featurised in 3.0 s (333 images/s)\n"),
        (14.5, "ingest: 3000 images featurised, 0 failed\n"),
    ]
    assert compare._batches(lines, whole=20) == 7.0
    assert compare._batches(lines[2:], whole=20) == 20


def test_the_bound_is_the_time_without_the_loading_of_its_model():
    assert compare._reported([(0.0, "noise\n"), (1.0, '{"within": 2.5}\n'), (2.0, '{"seconds": 4.0}\n')]) == 2.5
    assert compare._reported([(2.0, '{"seconds": 4.0}\n')]) == 4.0


def test_the_table_holds_medians_spreads_and_ratios_to_the_bound(tmp_path):
    results = tmp_path / "bench.jsonl"
    for engine, images, seconds in [(compare.BOUND.name, 1000, (4, 5, 10)), ("Daft", 500, (2.5, 5, 4))]:
        for within in seconds:
            compare.record(
                results, part="throughput", engine=engine, versions="v 1", images=images, whole=within * 2, within=within
            )  # fmt: skip
    compare.record(results, part="small", engine="Daft", versions="v 1", kind="cold", images=2016, whole=12.345)
    lines = compare.table(results).splitlines()
    assert f"| {compare.BOUND.name} | 1,000 | 200 (100 to 250) | 1.00 | 100 (50 to 125) | 3 | v 1 |" in lines
    assert "| Daft | 500 | 125 (100 to 200) | 0.62 | 62 (50 to 100) | 3 | v 1 |" in lines
    assert "| Daft | 12.3 (12.3 to 12.3) s |  |  | 1 | v 1 |" in lines


@pytest.mark.parametrize("other", [{"machine": "another"}, {"versions": "v 2"}])
def test_results_of_two_machines_or_versions_are_not_mixed(tmp_path, other):
    results = tmp_path / "bench.jsonl"
    results.write_text(json.dumps({"machine": compare.machine(), "engine": "Daft", "versions": "v 1"} | other) + "\n")
    with pytest.raises(SystemExit, match="made on another machine or with other versions"):
        compare.record(results, engine="Daft", versions="v 1")


def test_pictures_are_repeated_under_other_names_where_they_are_fewer(tmp_path):
    for name in ("Kiwi/1.jpg", "Pear/1.jpg"):
        (tmp_path / "photographs" / name).parent.mkdir(parents=True)
        (tmp_path / "photographs" / name).write_bytes(name.encode())
    folder = compare.pictures(tmp_path / "images", 3, tmp_path / "photographs")
    found = {str(file.relative_to(folder)): file.read_bytes() for file in folder.glob("*/*.jpg")}
    assert found == {"Kiwi/0-1.jpg": b"Kiwi/1.jpg", "Kiwi/1-1.jpg": b"Kiwi/1.jpg", "Pear/0-1.jpg": b"Pear/1.jpg"}
