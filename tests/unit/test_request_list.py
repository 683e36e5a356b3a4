"""Lists of names as people have them: what a spreadsheet adds is taken off, and what cannot be meant is told with its line."""

from __future__ import annotations

import json

import pytest

from fruitpipe.erasure import request_list
from fruitpipe.errors import WrongUsage
from fruitpipe.operations import failed_images

NAMES = ["s3://b/Kiwi/a b.jpg", "s3://b/Kiwi/p\u00eache, ripe.jpg", 's3://b/Kiwi/12" plate.jpg', "s3://b/a%20b+c.jpg"]
LINES = 's3://b/Kiwi/a b.jpg\n"s3://b/Kiwi/p\u00eache, ripe.jpg"\n"s3://b/Kiwi/12"" plate.jpg"\ns3://b/a%20b+c.jpg\n'


@pytest.fixture
def read(tmp_path):
    def read(body, name="list.txt"):
        (tmp_path / name).write_bytes(body)
        return request_list.read(str(tmp_path / name))

    return read


@pytest.mark.parametrize(
    "body",
    [
        LINES.encode(),
        LINES.replace("\n", "\r\n").encode("utf-8-sig"),
        LINES.encode("utf-16"),
        ("path\n" + LINES).encode(),
        ("Path\r\n" + LINES.replace("\n", "\r\n")).encode("utf-8-sig"),
        "".join(json.dumps({"path": name, "error": "truncated"}) + "\n" for name in NAMES).encode(),
        ("Who;PATH\n" + "".join('me;"' + name.replace('"', '""') + '"\n' for name in NAMES)).encode(),
    ],
    ids=["plain", "byte-order mark and CRLF", "UTF-16", "heading", "spreadsheet", "JSON lines", "semicolons"],
)
def test_a_list_is_read_as_a_spreadsheet_or_a_program_writes_it(read, body):
    assert [one.uri for one in read(body)] == NAMES


def test_each_name_knows_its_line(read):
    assert [one.where.rpartition("/")[2] for one in read(b"s3://b/a.jpg\n\ns3://b/b.jpg\n")] == ["list.txt:1", "list.txt:3"]


def test_the_csv_of_errors_is_taken_with_a_line_break_in_a_name(read):
    rows = [
        failed_images.ErrorRow(path, "Kiwi", "truncated", "it ends", 3, failed_images.datetime.now(failed_images.UTC))
        for path in ("s3://b/a\nb.jpg", "s3://b/c.jpg")
    ]
    named = read(failed_images.to_csv(rows), "errors.csv")
    assert [(one.uri, one.where.rpartition(":")[2]) for one in named] == [("s3://b/a\nb.jpg", "2"), ("s3://b/c.jpg", "3")]
    named = read(b'path,error\n"s3://b/a\nb.jpg",x\ns3://b/c.jpg,y\n', "another.csv")
    assert [(one.uri, one.where.rpartition(":")[2]) for one in named] == [("s3://b/a\nb.jpg", "2"), ("s3://b/c.jpg", "4")]


def test_a_comma_in_a_heading_and_in_names_makes_no_columns(read):
    assert [one.uri for one in read(b"Bilder, die weg sollen\ns3://b/a, b.jpg\n")] == ["s3://b/a, b.jpg"]
    assert [one.uri for one in read(b"s3://b/a, b.jpg\ns3://b/c, d.jpg\n")] == ["s3://b/a, b.jpg", "s3://b/c, d.jpg"]


def test_a_heading_that_can_be_no_name_is_left_out_and_said(read, capsys):
    assert [one.uri for one in read(b"Bild\r\ns3://b/a.jpg\r\n")] == ["s3://b/a.jpg"]
    assert "list.txt:1: Bild: is taken for a heading" in capsys.readouterr().out
    assert [one.uri for one in read(b"a.jpg\n")] == ["a.jpg"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"s3://b/a.jpg\ns3://b/\xff.jpg\n", "list.txt:2: is not UTF-8"),
        (b'{"path": "s3://b/a.jpg"}\n{"file": "s3://b/b.jpg"}\n', "list.txt:2: has no path"),
        (b'{"path": "s3://b/a.jpg"}\nnonsense\n', "list.txt:2: is not JSON"),
        (b"path,label\ns3://b/a.jpg,x\n,y\n", "list.txt:3: has no path"),
        (b"Fall;Bild\r\n7;s3://b/a.jpg\r\n", r"list.txt:1: no column is called path \(Fall, Bild\); give that name"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(read, body, said):
    with pytest.raises(WrongUsage, match=said):
        read(body)


@pytest.mark.parametrize(
    "address",
    [
        "https://bucket.s3.eu-west-1.amazonaws.com/Kiwi/a%20b%2Bc%2bd.jpg?versionId=1",
        "https://bucket.s3.amazonaws.com/Kiwi/a+b%2Bc%2Bd.jpg",
        "https://bucket.s3.dualstack.eu-west-1.amazonaws.com/Kiwi/a%20b%2Bc%2Bd.jpg",
        "https://s3.eu-west-1.amazonaws.com/bucket/Kiwi/a+b%2Bc%2Bd.jpg",
        "https://s3-eu-west-1.amazonaws.com/bucket/Kiwi/a%20b%2Bc%2Bd.jpg",
        "https://bucket.s3.amazonaws.com/Kiwi/a+b%2Bc%2Bd.jpg?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=1f&x-id=GetObject",
        "https://bucket.s3.amazonaws.com/Kiwi/a+b%2Bc%2Bd.jpg?AWSAccessKeyId=A&Signature=b%3D&Expires=1&response-content-type=",
        "arn:aws:s3:::bucket/Kiwi/a b+c+d.jpg",
        "s3a://bucket/Kiwi/a b+c+d.jpg",
    ],
)
def test_an_address_of_s3_is_the_key_that_it_stands_for(address):
    assert request_list.canonical(address) == "s3://bucket/Kiwi/a b+c+d.jpg"


def test_a_uri_of_s3_is_never_decoded_and_another_sites_address_is_refused():
    assert request_list.canonical("s3://b/a%20b.jpg") == "s3://b/a%20b.jpg"
    with pytest.raises(WrongUsage, match="no address of an object in S3"):
        request_list.canonical("https://example.org/a.jpg")
    with pytest.raises(WrongUsage, match="is no address"):
        request_list.canonical("https://[bucket/a.jpg")


@pytest.mark.parametrize("key", ["a#1.jpg", "a#", "a?1.jpg", "a?", "a?page=1", "a?versionId=1&b.jpg", "a\t1.jpg"])
def test_an_address_whose_key_would_be_cut_is_refused_as_what_is_left_may_be_another_image(key):
    with pytest.raises(WrongUsage, match=r"ends the key in an address; .* write %23 for #, %3F for \?"):
        request_list.canonical(f"https://bucket.s3.amazonaws.com/Kiwi/{key}")
    assert request_list.canonical("https://bucket.s3.amazonaws.com/Kiwi/a%231%3F.jpg") == "s3://bucket/Kiwi/a#1?.jpg"
