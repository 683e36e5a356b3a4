"""Finds the jars that Spark needs beside its own: Ivy resolves them once into the cache, later sessions name them by path.

To resolve them at every start would cost seconds and need a network. A cluster brings its own jars.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from fruitpipe.errors import MissingRequirement
from fruitpipe.output import say
from fruitpipe.runtime import cache, java, lanes, network, truststore


def wanted(*, s3: bool) -> list[str]:
    """The Maven coordinates that a job of this environment needs. Raises MissingRequirement for an untested pair of versions."""
    lane = lanes.current()
    return [lane.delta_jar] + [lane.s3a_jar] * s3


def paths(*coordinates: str) -> list[str]:
    """The paths of the jars of Maven `coordinates` and their dependencies. Fetches those that are missing.

    Raises MissingRequirement.
    """
    return [str(jar) for coordinate in coordinates for jar in sorted(_resolved(coordinate).glob("*.jar"))]


def is_there(coordinate: str) -> bool:
    """Whether the jars of a Maven coordinate are in the cache."""
    return cache.holds(_folder(coordinate))


def _folder(coordinate: str) -> Path:
    return cache.folder() / "jars" / coordinate.replace(":", "_")


def _resolved(coordinate: str) -> Path:
    folder = _folder(coordinate)
    if not cache.holds(folder):
        _resolve(coordinate, folder)
    return folder


def _resolve(coordinate: str, folder: Path) -> None:
    say(f"Fetching {coordinate} into {folder} (once) ...", to=sys.stderr)
    cache.made("jars")
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        said = _submitted(coordinate, Path(work))
        fetched = Path(work, "ivy", "jars")
        if not list(fetched.glob("*.jar")):
            raise MissingRequirement(
                f"{coordinate}: Maven did not give it ({_reason(said)}); check the network, HTTPS_PROXY, "
                f"or name a mirror in {network.MIRROR}"
            )
        try:
            fetched.rename(folder)
        except OSError:  # another first run came first: a folder with files in it is not replaced
            if not folder.exists():
                raise


def _submitted(coordinate: str, work: Path) -> str:
    """Has spark-submit resolve the coordinate into work/ivy/jars, by running an empty script; returns its stderr."""
    nothing = work / "nothing.py"
    nothing.touch()
    spark = spark_environment()
    mirror = network.ivy_settings(os.environ, work / "ivysettings.xml")
    submit = f"{spark['SPARK_HOME']}/bin/spark-submit"
    command = [submit, "--packages", coordinate, "--conf", f"spark.jars.ivy={work}/ivy", *mirror, str(nothing)]
    trust = truststore.write(work / "truststore") if java.is_from_wheel() else []
    # The user's options come last: of an option that is given twice, Java takes the last.
    spark["SPARK_SUBMIT_OPTS"] = " ".join([*network.java_options(os.environ), *trust, os.environ.get("SPARK_SUBMIT_OPTS", "")])
    return subprocess.run(command, env=os.environ | spark, capture_output=True, text=True, check=False).stderr


def spark_environment() -> dict[str, str]:
    """The environment variables for Spark's launcher, with which it starts this Python's own Spark and no other."""
    import pyspark

    return {
        "SPARK_HOME": str(Path(pyspark.__file__).parent),
        "JAVA_HOME": java.home(),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "PYSPARK_SUBMIT_ARGS": "pyspark-shell",
        # A container's host name may have no address, and Java asks for it.
        "SPARK_LOCAL_IP": "127.0.0.1",
        # With LC_ALL=C Java cannot name a file outside of ASCII, where Python can.
        **({"LC_ALL": "C.UTF-8"} if os.environ.get("LC_ALL") in ("C", "POSIX") else {}),
    }


def _reason(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if "exception" in line.lower() or "not found" in line.lower()]
    return max(lines, key=lambda line: "exception" in line.lower(), default="no reason given")
