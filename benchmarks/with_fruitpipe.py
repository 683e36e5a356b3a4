"""fruitpipe: the stream's own job with `--once`, which says here when its Spark session is open."""

from __future__ import annotations

from typing import Any

from benchmarks import engine
from fruitpipe.jobs import ingest as job
from fruitpipe.runtime import session
from fruitpipe.settings import IngestSettings

OPEN = session.open


def opened(*given: Any, **named: Any) -> Any:
    """A session, as the job asks for it."""
    spark = OPEN(*given, **named)
    engine.say(engine.UP)
    return spark


def ingest(images: str, out: str, model: str) -> None:
    """The features table, and all else that the job keeps under its root."""
    session.open = opened
    job.ingest(IngestSettings(images=images, root=out, model=model, once=True))


if __name__ == "__main__":
    engine.run(ingest)
