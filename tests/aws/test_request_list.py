"""A request as people have it: a column of a spreadsheet with the addresses of 500 pictures, of which 7 are none."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from fruitpipe import cli, objects
from fruitpipe.erasure import notes, register
from tests.rows import empty_table

REST = {"label": "Kiwi, ripe", "extractor": "e", "ingested_at": datetime(2026, 11, 26, tzinfo=UTC), "error": "empty"}
UNKNOWN = (3, 71, 72, 250, 333, 498, 499)


@pytest.fixture
def bucket(s3):
    with s3.here():
        yield s3.bucket()


def key(number):
    return f"in/Kiwi, ripe/p\u00eache {number} 50%+.jpg"


def addresses(bucket, numbers):
    """Each as another program writes it: the console's, boto3's, an older one's, and a person's."""
    forms = [
        lambda key: f"https://{bucket}.s3.eu-west-1.amazonaws.com/{quote_plus(key, safe='/')}",
        lambda key: f"https://{bucket}.s3.amazonaws.com/{quote(key)}?versionId=null",
        lambda key: f"https://s3.eu-west-1.amazonaws.com/{bucket}/{quote(key)}",
        lambda key: f"s3://{bucket}/{key}",
    ]
    return [forms[number % len(forms)](key(number)) for number in numbers]


def exported(names):
    """A file as a spreadsheet saves one column: byte-order mark, a heading, CRLF, quotes where a cell holds a comma."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["Bilder"], *([name] for name in names)])
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def erase(root, file):
    with pytest.raises(SystemExit) as ended:
        cli.main(["erase", "--root", root, "--from-file", str(file), "--not-same-bytes"])
    return ended.value.code


def test_each_of_the_unknown_is_named_with_its_line_and_nothing_is_done_until_they_are_taken_out(s3, bucket, tmp_path, capsys):
    root, known = f"file://{tmp_path}/root", [number for number in range(500) if number not in UNKNOWN]
    empty_table(root)
    rows = [{"path": f"s3://{bucket}/{key(number)}", "sha256": str(number), **REST} for number in known]
    write_deltalake(f"{tmp_path}/root/features", pa.Table.from_pylist(rows), mode="append", schema_mode="merge")
    s3.s3.put_object(Bucket=bucket, Key=key(0), Body=b"a picture")
    file = tmp_path / "list.csv"

    file.write_bytes(exported(addresses(bucket, range(500))))
    assert erase(root, file) == 1
    said = capsys.readouterr()
    assert f"{file}:1: Bilder: is taken for a heading" in said.out
    assert said.err.startswith("error: 7 of 500 names are no images; nothing was recorded or erased; give them exactly: ")
    named = said.err.strip().split("exactly: ")[1].split("; ")
    there = "there is no such image, in the store or under the root"
    assert named == [f"{file}:{number + 2}: s3://{bucket}/{key(number)}: {there}" for number in UNKNOWN]
    assert register.every(root) == []
    assert objects.exists(f"s3://{bucket}/{key(0)}")

    file.write_bytes(exported(addresses(bucket, known)))
    assert erase(root, file) == 0
    assert "493 images requested to be erased" in capsys.readouterr().out
    (record,) = register.every(root)
    assert notes.names(root, record.id) == sorted(f"s3://{bucket}/{key(number)}" for number in known)
    assert not objects.exists(f"s3://{bucket}/{key(0)}")


def test_an_address_with_a_plus_sign_that_was_meant_for_one_is_refused_and_the_image_named(bucket, tmp_path, capsys):
    root, image = f"file://{tmp_path}/root", f"s3://{bucket}/in/a+b.jpg"
    empty_table(root)
    objects.write(image, b"a picture")
    (tmp_path / "list.csv").write_text(f"https://{bucket}.s3.eu-west-1.amazonaws.com/in/a+b.jpg\n")
    assert erase(root, tmp_path / "list.csv") == 1
    assert f"but one with plus signs, which are %2B in an address, '{image}'" in capsys.readouterr().err
