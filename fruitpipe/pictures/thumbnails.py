"""Makes thumbnails for the report, with bounds on the bytes read for all and on the time for each. Pillow only."""

from __future__ import annotations

import base64
import io
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Generic, TypeVar

from PIL import Image

from fruitpipe import objects
from fruitpipe.errors import FruitpipeError
from fruitpipe.pictures import colours, decoding
from fruitpipe.runtime.served_process import ProcessEnded, ServedProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

SIDE_PX = 64
QUALITY = 60
READERS = 8
AT_ONCE = READERS  # pictures that are read, or wait for the process, at a time: 160 MB at most, beyond the bound for all as well
MAX_IMAGE_BYTES = 20_000_000
MAX_BYTES = 200_000_000  # read for one report: 1,500 photographs of a telephone would be 5 GB
MAX_SECONDS = 30.0  # for one picture, as the stream's default; it was decoded within them, but may be another by now
MOST_LATE = 3  # pictures after which a report waits for no other
Made = TypeVar("Made")


def of(paths: Sequence[str], max_bytes: int = MAX_BYTES) -> list[str | None]:
    """A data: URI for each path, about 1.2 kB; None where there is no image or no picture, and once `max_bytes` are read."""
    found: list[str | None] = []
    left = max_bytes
    with ThreadPoolExecutor(READERS, "fruitpipe-thumbnails") as readers, closing(InTime(thumbnail)) as made:
        for body in _ahead(readers, paths):
            left -= len(body)
            found.append(made(body) if body else None)
            if left <= 0:
                break
    return found + [None] * (len(paths) - len(found))


def _ahead(readers: ThreadPoolExecutor, paths: Sequence[str]) -> Iterator[bytes]:
    """The bytes of the images, in order, of which AT_ONCE are read ahead."""
    waiting: deque[Future[bytes]] = deque()
    for path in paths:
        if len(waiting) == AT_ONCE:
            yield waiting.popleft().result()
        waiting.append(readers.submit(read, path))
    while waiting:
        yield waiting.popleft().result()


class InTime(Generic[Made]):
    """Does `work` in a process of its own, which ends where one call takes longer than `seconds`; None is then its result.

    So it is where the process is killed from outside. After `most_late` such calls it does nothing any more. `work` is a function
    of a module, its arguments and results pickled. One thread at a time may call it.
    """

    def __init__(self, work: Callable[[bytes], Made | None], seconds: float = MAX_SECONDS, most_late: float = MOST_LATE) -> None:
        self._process, self._seconds, self._most_late, self._late = ServedProcess(work), seconds, most_late, 0

    def __call__(self, body: bytes) -> Made | None:
        """The result of `work`, or what it raised; None where it is late."""
        if self._late >= self._most_late:
            return None
        try:
            return self._in_time(body)
        except ProcessEnded:
            self._late += 1
            return None

    def _in_time(self, body: bytes) -> Made | None:
        self._process.start()  # a busy machine may take long to start it, which no picture is to blame for
        late = threading.Timer(self._seconds, self._process.kill)  # ends a send or an answer that stops half-way as well
        late.start()
        try:
            return self._process(body)
        finally:
            late.cancel()

    def close(self) -> None:
        """Ends the process at once."""
        self._process.close()


def thumbnail(body: bytes) -> str | None:
    """A picture of at most 64 x 64 px as a data: URI (WebP), or None for bytes that are no picture."""
    try:
        with decoding.opened(decoding.prepared(body)) as image:
            image.thumbnail((SIDE_PX, SIDE_PX))  # which has a JPEG decoded at an eighth of its size, ten times faster
            return _data_uri(decoding.turned(colours.as_seen(image), decoding.turn_of(image)))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - one picture, overwritten since, must not stop a version
        return None  # the report then shows its name alone


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def read(path: str) -> bytes:
    """The bytes of the image at `path`; none where it is gone, too large or cannot be read."""
    try:
        found = objects.look(path, max_bytes=MAX_IMAGE_BYTES)
    except FruitpipeError:  # its bucket is gone, or its mount fails: the report shows its name alone
        return b""
    return found.body if isinstance(found, objects.Found) else b""
