"""Bytes that are no picture: the one right reason why not, within bounds of memory."""

import os
import pickle
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError

from fruitpipe.pictures import decoding
from fruitpipe.pictures.decoding import MAX_PIXELS, BadImage, decode
from tests.encodings import COLOUR, FILES, JPEG, encoded, png
from tests.soak import fuzz_pictures


def reason(body):
    with pytest.raises(BadImage) as caught:
        decode(body)
    return caught.value.reason


@pytest.mark.parametrize(
    ("body", "expected_reason"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "not-an-image"),
        (b"just some text", "not-an-image"),
        (np.random.default_rng(1).bytes(4984), "not-an-image"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "unsupported-format"),
        (b"%PDF-1.7\n...", "unsupported-format"),
        (b"PK\x03\x04" + bytes(40), "unsupported-format"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "truncated"),
        (encoded(COLOUR, "ICO"), "unsupported-format"),
        (encoded(COLOUR, "JPEG2000"), "unsupported-format"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value,
)
def test_what_is_no_picture_says_what_it_is(body, expected_reason):
    assert reason(body) == expected_reason


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_anywhere_is_truncated(name):
    body = FILES[name]
    lengths = sorted({*range(8, min(len(body), 200)), *range(200, len(body), 211), *range(len(body) - 16, len(body))})
    assert {length: found for length in lengths if (found := reason(body[:length])) != "truncated"} == {}


def test_a_png_without_its_last_chunk_is_truncated():
    assert reason(FILES["png"][:-12]) == "truncated"


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_half_a_jpeg_with_an_end_marker_is_truncated_and_not_filled_with_grey(share):
    assert reason(JPEG[: int(len(JPEG) * share)] + b"\xff\xd9") == "truncated"


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_picture_that_is_grey_to_the_last_pixel_is_no_truncated_one(mode, progressive):
    colour = 128 if mode == "L" else (128,) * len(mode)
    assert decode(encoded(Image.new(mode, (50, 33), colour), "JPEG", progressive=progressive)).width == 50


def test_corrupt_huffman_tables_are_damage():
    table = JPEG.index(b"\xff\xc4")
    assert reason(JPEG[: table + 5] + b"\xff" * 16 + JPEG[table + 21 :]) == "not-an-image"


def test_a_checksum_over_pixels_that_does_not_hold_is_damage():
    body = bytearray(FILES["png"])
    body[body.index(b"IDAT") + 4 + struct.unpack(">I", body[body.index(b"IDAT") - 4 : body.index(b"IDAT")])[0]] ^= 1
    assert reason(bytes(body)) == "not-an-image"


def test_a_palette_that_is_missing_is_damage():
    assert reason(png(1, 1, 8, 3, b"\0\0")) == "not-an-image"


def test_zero_width_is_damage():
    assert reason(png(0, 5, 8, 2, b"")) == "not-an-image"
    start = JPEG.index(b"\xff\xc0")
    assert reason(JPEG[: start + 7] + b"\0\0" + JPEG[start + 9 :]) == "not-an-image"


@pytest.mark.parametrize("size", [(20000, 10000), (12000, 12000)])
def test_a_bomb_is_refused_with_its_size_and_the_bound(size):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        body = encoded(Image.new("1", size))
    with pytest.raises(BadImage, match=f"{size[0] * size[1]} pixels, at most {MAX_PIXELS}") as caught:
        decode(body)
    assert caught.value.reason == "too-many-pixels"


def test_a_header_that_claims_too_much_is_refused_without_any_pixel():
    claim = png(60000, 60000, 8, 2, b"")
    assert reason(claim) == reason(claim[:33]) == "too-many-pixels"


def megabytes(code, body):
    """What the code prints, run by a process of its own with `body` on stdin and `peak()` for the memory it has taken at most.

    Not ru_maxrss, which a process inherits from the one that started it.
    """
    if not Path("/proc/self/status").exists():
        pytest.skip("needs linux: the peak is read from /proc")
    start = (
        "import sys\nfrom fruitpipe.pictures.decoding import decode, BadImage\nbody = sys.stdin.buffer.read()\n"
        "def peak(): return int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) // 1024\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    answer = subprocess.run([sys.executable, "-c", start + code], input=body, capture_output=True, check=True, env=environment)
    return answer.stdout.decode().split()


def test_a_bomb_is_refused_before_memory_is_taken():
    code = "before = peak()\ntry: decode(body)\nexcept BadImage as bad: print(bad.reason, peak() - before)"
    found, taken = megabytes(code, png(60000, 60000, 8, 2, b"\0" * 1000))
    assert found == "too-many-pixels"
    assert int(taken) < 20


def test_many_large_pictures_one_after_another_take_the_memory_of_one():
    body = encoded(Image.new("RGB", (4000, 3000), (10, 200, 30)), "JPEG")
    first, last = megabytes("decode(body); print(peak())\nfor _ in range(39): decode(body)\nprint(peak())", body)
    assert int(last) < 200
    assert int(last) - int(first) < 60, "the allocator may keep one picture more, but not one for each"


def test_a_bad_image_survives_the_way_from_executor_to_driver():
    bad = pickle.loads(pickle.dumps(BadImage("truncated", "half of it")))
    assert (bad.reason, bad.message, str(bad)) == ("truncated", "half of it", "truncated: half of it")


def test_a_fault_of_our_own_code_is_no_bad_image(monkeypatch):
    def broken(image):
        raise KeyError(image)

    monkeypatch.setattr(decoding.colours, "as_seen", broken)
    with pytest.raises(KeyError):
        decode(JPEG)


def test_a_missing_library_is_no_bad_image(monkeypatch):
    def lacking(*_arguments, **_options):
        raise ImportError

    monkeypatch.setattr(decoding.Image, "open", lacking)
    with pytest.raises(ImportError):
        decode(JPEG)


def test_what_pillow_cannot_identify_is_mapped(monkeypatch):
    def refusing(*_arguments, **_options):
        raise UnidentifiedImageError("cannot identify image file <_io.BytesIO object at 0x7f00>")

    monkeypatch.setattr(decoding.Image, "open", refusing)
    assert reason(JPEG) == "not-an-image"


def test_the_same_bytes_give_the_same_message_in_every_process():
    """Pillow names the address of the object that it read from."""
    with pytest.raises(BadImage, match=r"10 bytes, its header does not decode \(no picture is found in it\)"):
        decode(FILES["png"][:10])


def test_pictures_changed_by_their_structure_give_a_picture_or_a_reason():
    """A few of what the soak does with a million."""
    bodies = fuzz_pictures.seeds()
    found = {name: fuzz_pictures.verdict(body) for name, body in bodies.items()}
    assert found == dict.fromkeys(bodies, "picture")
    verdicts = {seed: fuzz_pictures.verdict(fuzz_pictures.mutated(seed, bodies)) for seed in range(600)}
    assert {seed: said for seed, said in verdicts.items() if said not in {"picture", *fuzz_pictures.REASONS}} == {}
    assert len(set(verdicts.values())) >= 4, "they are changed in many ways, and not all too much"


def test_the_fuzzer_tells_what_kills_its_process_or_takes_too_long_by_the_seed(monkeypatch, capsys):
    """Here by what stands in for a decoder in C, which raises, ends its process or does not come back."""
    monkeypatch.setattr(fuzz_pictures, "decode_all", fuzz_pictures.misbehave)
    monkeypatch.setattr(fuzz_pictures, "DEADLINE_SECONDS", 0.5)
    found = fuzz_pictures.fuzz(0, 5)
    assert found == {"picture": 2, "killed its process": 1, "too late": 1, "raised KeyError": 1}
    said = capsys.readouterr().out.splitlines()
    assert said[:3] == ["seed 1: killed its process", "seed 2: too late", "seed 3: raised KeyError"]


SMALL = [encoded(COLOUR.resize((24, 24)), kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")] + [
    encoded(COLOUR.resize((24, 24)), "TIFF", compression="tiff_lzw"),
    encoded(COLOUR.resize((24, 24)).quantize(9), transparency=3),
    encoded(COLOUR.resize((24, 24)).convert("CMYK"), "JPEG"),
]


@settings(derandomize=True, deadline=None, max_examples=1500, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutated_bytes_give_a_picture_or_a_bad_image_and_nothing_else(data):
    body = bytearray(data.draw(st.sampled_from(SMALL)))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(body)))
        body[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    try:
        pixels = decode(bytes(body)).pixels
        outcome = pixels.shape
        assert -1 <= pixels.min() <= pixels.max() <= 1
    except BadImage as bad:
        outcome = bad.reason
    reasons = {"empty", "too-many-pixels", "not-an-image", "unsupported-format", "truncated", "too-slow"}
    assert outcome in reasons | {(224, 224, 3)}
