"""Makes thumbnails for the report, with bounds on the bytes read for all and on the time for each. Pillow only."""

from __future__ import annotations

import base64
import io
import multiprocessing
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from PIL import Image

from fruitpipe import objects
from fruitpipe.errors import FruitpipeError
from fruitpipe.pictures import colours, decoding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

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
        self._work, self._seconds, self._most_late, self._late = work, seconds, most_late, 0
        self._process: BaseProcess | None = None

    def __call__(self, body: bytes) -> Made | None:
        """The result of `work`, or what it raised; None where it is late."""
        if self._late >= self._most_late:
            return None
        answer = self._answer_to(body)
        if answer is None:
            self._late += 1
            self.close()
            return None
        made, error = answer
        if error:
            raise error
        return made

    def _answer_to(self, body: bytes) -> tuple[Made | None, Exception | None] | None:
        with suppress(EOFError, OSError):  # its process was killed, most likely for its memory
            process = self._process or self._begin()
            late = threading.Timer(self._seconds, process.kill)  # ends a send or an answer that stops half-way as well
            late.start()
            try:
                self._pipe.send(body)
                answer: tuple[Made | None, Exception | None] = self._pipe.recv()
            finally:
                late.cancel()
            return answer
        return None

    def _begin(self) -> BaseProcess:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        process = spawn.Process(target=_serve, args=(theirs, self._work), daemon=True)
        with theirs:  # closed, so that the end of the process ends the pipe
            process.start()
        self._process = process
        self._pipe.recv()  # that it is ready: a busy machine may take long to start it, which no picture is to blame for
        return process

    def close(self) -> None:
        """Ends the process at once."""
        if self._process:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None


def _serve(pipe: Connection, work: Callable[[bytes], Any]) -> None:
    """What the process does: answers each body with what `work` makes of it and what it raised, until the pipe ends."""
    with suppress(EOFError, KeyboardInterrupt):
        pipe.send("ready")
        while True:
            body = pipe.recv()
            try:
                pipe.send((work(body), None))
            except Exception as error:  # noqa: BLE001 - raised by whoever asked
                pipe.send((None, error))


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
