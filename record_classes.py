"""Records the Java classes that the jobs use, by running each once, small, in one session: once for each Spark, Delta and Java.

Called by make; 45 s, 190 MB. With --behind it goes on after this process has ended, so that nobody waits for it.
Nothing is done for a Java without an archive of its own classes; `setup.sh` has that of the wheel write one.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

from pyspark import SparkContext

from fruitpipe.jobs.ingest import ingest
from fruitpipe.jobs.reconcile import reconcile
from fruitpipe.jobs.refit import refit
from fruitpipe.output import say
from fruitpipe.pictures import drawn
from fruitpipe.runtime import class_archive, java, session
from fruitpipe.settings import IngestSettings, ReconcileSettings, RefitSettings


def run_jobs(images: str, root: str) -> None:
    """An ingest, one with new images, one by manifests with changed images, and a refit after each."""
    for count in (3, 4):
        drawn.draw(Path(images), labels=2, images_per_label=count)
        ingest(IngestSettings(images=images, root=root, once=True, images_without_spark=0))
        refit(RefitSettings(root=root))
    for image in list(Path(images).rglob("*.jpg"))[:2]:
        image.unlink()
    reconcile(ReconcileSettings(images=images, root=root, allow_removals=True))
    ingest(IngestSettings(images=images, root=root, once=True, images_without_spark=0))
    refit(RefitSettings(root=root))


def record(folder: Path) -> None:
    """Runs the jobs and ends Java, which then writes the archive; it takes its place when it is whole."""
    written = folder / "classes.jsa"
    os.environ[class_archive.RECORD] = str(written)
    with contextlib.redirect_stdout(io.StringIO()):
        run_jobs(f"{folder}/images", f"{folder}/root")
    if (status := end_java()) or not written.exists():
        sys.exit(f"error: Java wrote no whole archive of its classes and ended with {status}; sessions start without one")
    written.replace(class_archive.path())


def end_java() -> int:
    """Java's exit status, once it has ended."""
    session.open("fruitpipe classes").stop()
    process = SparkContext._gateway.proc  # noqa: SLF001 - pyspark starts Java and lets nobody wait for its end
    process.stdin.close()
    return process.wait()


def main() -> None:
    own = Path(java.executable()).resolve().parents[1] / "lib" / "server" / "classes.jsa"
    if class_archive.path().exists() or not own.exists():
        return
    if sys.argv[1:] == ["--behind"]:
        say("Java's classes are recorded now, behind this (once, a minute): sessions start some seconds sooner after it.")
        with class_archive.path().with_suffix(".log").open("w") as log:
            subprocess.Popen([sys.executable, __file__], stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        return
    with class_archive.made() as folder:
        if not class_archive.path().exists():  # which another process may have recorded meanwhile
            say(f"Recording Java's classes in {class_archive.path()} (once) ...")
            record(folder)


if __name__ == "__main__":
    main()
