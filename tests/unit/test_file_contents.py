"""What a file under the root holds, where nobody can say."""

from __future__ import annotations

import io

import numpy as np
import pytest

from fruitpipe.erasure import file_contents, unpacking


@pytest.mark.parametrize(("at", "value"), [(0, 1), (2, 99)], ids=["password", "method"])
def test_an_archive_that_cannot_be_opened_ends_no_search(at, value):
    archive = io.BytesIO()
    np.savez(archive, zeros=np.zeros(3))
    body = bytearray(archive.getvalue())
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        body[body.index(magic) + flags + at] = value
    with pytest.raises(unpacking.NotReadable, match=r"password|compression method"):
        list(file_contents.parts(bytes(body)))
