"""Names that an erasure finds in what lies on this machine: logs, and Spark's working files."""

from fruitpipe.erasure import places
from fruitpipe.erasure.byte_search import Traces

# Two streams in blocks of 64 bytes by lz4-java 1.8.0, of pyspark: file:///images/Kiwi/00.jpg to 03.jpg, then 10.jpg to 13.jpg
PACKED_BY_JAVA = bytes.fromhex(
    "4c5a34426c6f636b202a00000040000000e817d204ff0c66696c653a2f2f2f696d616765732f4b6977692f30302e6a7067201b000216311b0050"
    "2f2f2f696d4c5a34426c6f636b20260000002c00000015088c0bf70c616765732f4b6977692f30322e6a70672066696c653a2f2f2f696d1b0060"
    "332e6a7067204c5a34426c6f636b100000000000000000000000004c5a34426c6f636b202a00000040000000ed5dd303ff0c66696c653a2f2f2f"
    "696d616765732f4b6977692f31302e6a7067201b000216311b00502f2f2f696d4c5a34426c6f636b20260000002c00000082e66c04f70c616765"
    "732f4b6977692f31322e6a70672066696c653a2f2f2f696d1b0060332e6a7067204c5a34426c6f636b10000000000000000000000000"
)


def test_a_name_in_what_spark_has_packed_is_found_and_of_a_block_that_is_cut_nobody_can_say(tmp_path, monkeypatch):
    monkeypatch.setenv("FRUITPIPE_CACHE", str(tmp_path))
    shuffle = tmp_path / "spark/host-1/blocks/shuffle_0_0_0.data"
    shuffle.parent.mkdir(parents=True)

    def naming(name):
        return places.on_this_machine(Traces.of([f"file:///images/Kiwi/{name}"]))

    shuffle.write_bytes(PACKED_BY_JAVA)
    for name in ("01.jpg", "13.jpg"):  # the first one lies in two blocks, the other in the second stream
        assert f"/images/Kiwi/{name}".encode() not in PACKED_BY_JAVA
        assert naming(name) == [f"file://{shuffle}"]
    assert naming("04.jpg") == []
    for broken in (PACKED_BY_JAVA[:-30], PACKED_BY_JAVA[:21] + b"\xff" * 9 + PACKED_BY_JAVA[30:], PACKED_BY_JAVA + b"LZ4Block"):
        shuffle.write_bytes(broken)
        assert naming("04.jpg") == [f"file://{shuffle}"]


def test_a_broadcast_in_pieces_is_read_as_one_and_of_a_piece_without_the_one_before_nobody_can_say(tmp_path, monkeypatch):
    monkeypatch.setenv("FRUITPIPE_CACHE", str(tmp_path))
    blocks = tmp_path / "spark/host-1/blockmgr-1"
    pieces = [blocks / name for name in ("3f/broadcast_7_piece9", "00/broadcast_7_piece10", "1a/broadcast_7_piece11")]
    for piece, body in zip(pieces, (PACKED_BY_JAVA[:30], PACKED_BY_JAVA[30:180], PACKED_BY_JAVA[180:]), strict=True):
        piece.parent.mkdir(parents=True)
        piece.write_bytes(body)
    uris = [f"file://{piece}" for piece in pieces]

    def naming(name):
        return sorted(places.on_this_machine(Traces.of([f"file:///images/Kiwi/{name}"])))

    assert naming("04.jpg") == []
    for name in ("01.jpg", "13.jpg"):
        assert naming(name) == sorted(uris)
    pieces[1].unlink()
    assert naming("04.jpg") == sorted([uris[0], uris[2]])


def test_a_name_in_a_log_or_in_sparks_working_files_on_this_machine_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("FRUITPIPE_CACHE", str(tmp_path))
    image, other = "file:///images/Kiwi/a b.jpg", "file:///images/Kiwi/other.jpg"
    log, block, model = tmp_path / "logs/spark-1.log", tmp_path / "spark/host-1/blocks/shuffle_0", tmp_path / "spark/host-1/model"
    in_hand = tmp_path / "spark/host-1/java/faulthandler-2/77"
    for file, body in (
        (log, b'read "file:///images/Kiwi/a%20b.jpg"'),
        (in_hand, b'in hand: "file:///images/Kiwi/a\\u0020b.jpg"\n'),
        (block, b"\x00\x1a/images/Kiwi/a b.jpg\x00"),
        (model, b"\\&%" * 1000),
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    assert places.on_this_machine(Traces.of([image])) == [f"file://{log}", f"file://{in_hand}", f"file://{block}"]
    assert places.on_this_machine(Traces.of([other])) == []
