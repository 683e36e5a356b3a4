"""Builds Spark sessions. No other module does.

On a laptop a session brings its own Java, jars and memory sizes. Under spark-submit (EMR, any cluster) master, jars and sizes are
the cluster's, and only settings that fruitpipe depends on are set here.
"""

from __future__ import annotations

import logging
import os
import pwd
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pyspark
from pyspark import accumulators
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from fruitpipe import errors, objects
from fruitpipe.errors import PlatformFault
from fruitpipe.objects import encryption
from fruitpipe.runtime import class_archive, jars, lanes, local_folders
from fruitpipe.runtime.spark_errors import SPARK_ERRORS, explained
from fruitpipe.runtime.submission import is_submitted

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SPARK_ERRORS", "explained", "is_submitted", "local_settings", "open", "s3a_settings"]

# S3A's own list leaves out the profiles of ~/.aws, which is where a laptop has its credentials.
CREDENTIALS = (
    "software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider",
    "software.amazon.awssdk.auth.credentials.ProfileCredentialsProvider",
    "org.apache.hadoop.fs.s3a.auth.IAMInstanceCredentialsProvider",
)
# Only the first compiler: the second one pays off after many minutes, and until then takes processor time from the model. Java
# then reserves a fifth of the usual code cache, which a stream fills in minutes; hence its size.
SHORT_RUN_JAVA = ("-XX:TieredStopAtLevel=1", "-XX:ReservedCodeCacheSize=240m")
# All cores, and each task twice at most, where Spark's default for a laptop is once: a Python worker may be killed at any time.
LOCAL = "local[*, 2]"
# A private name of pyspark: the first until Spark 4.0, the others from 4.1. Without it, pyspark prints more on stderr.
ACCUMULATOR_SERVERS = ("AccumulatorServer", "AccumulatorTCPServer", "AccumulatorUnixServer")
WHOLE_NAME = "8192"  # characters or bytes, more than a URI has: a key in S3 has 1,024 bytes, a path 4,096
# What the jobs rely on, wherever they run.
ALWAYS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    # A name under s3:// and one under s3a:// are the same object; both are S3A's.
    "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
    # The default turns n new files into a listing job of n tasks: 2.7 s for 512 files, 0.2 s when capped.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "8",
    # Files of references are tiny, so a batch of them is a few tasks, not one a file.
    "spark.sql.files.openCostInBytes": "4096",
    # As for an RDD: Spark reuses workers by their environment, so SQL's jobs find those that an RDD's job started.
    "spark.sql.execution.pyspark.udf.simplifiedTraceback.enabled": "false",
    # From Delta 4.2 on a VACUUM's RETAIN is ignored, and a version older than the table's own retention refused though its files
    # are there, unless these say otherwise: an erasure keeps its hours, and a refit the older version that it reads.
    "spark.databricks.delta.vacuum.retentionWindowIgnore.enabled": "false",
    "spark.databricks.delta.vacuum.enforceTimeTravelWithinDeletedFileRetentionDuration": "false",
    # Delta keeps 32 characters of the least and greatest name of a file, and Parquet 64 bytes in its index, unless these say
    # otherwise: what is left of a.jpg (1).jpg there may be a.jpg, and an erasure of that takes it for a trace.
    "spark.databricks.io.skipping.stringPrefixLength": WHOLE_NAME,
    "spark.hadoop.parquet.columnindex.truncate.length": WHOLE_NAME,
    # A page whose bytes are no longer those that were written is an error, and not other numbers.
    "spark.hadoop.parquet.page.verify-checksum.enabled": "true",
    # A worker that dies in native code says where.
    "spark.sql.execution.pyspark.udf.faulthandler.enabled": "true",
    "spark.python.worker.faulthandler.enabled": "true",
}

# On S3 a small file that Spark or Delta writes cost 25 requests, one after the other: each layer looks for what cannot be there.
# The requests that are left out repeat the writer's own checks; the lease makes sure that a root has one writer.
ON_S3 = {
    "spark.hadoop.fs.s3a.performance.flags": "create,mkdir,delete",
    # Checksums of the table beside each commit, which only the first commit of the next start would read.
    "spark.databricks.delta.writeChecksumFile.enabled": "false",
}


def open(  # noqa: A001 - session.open says what it does
    name: str, *uris: str, master: str | None = None, java: tuple[str, ...] = SHORT_RUN_JAVA
) -> SparkSession:
    """Opens a Spark session for a job that works on `uris`; adds S3A's jars where one of them lies in S3.

    java: options for a laptop's Java, by default those for a run of some minutes. Raises MissingRequirement, PlatformFault.
    """
    on_s3 = ON_S3 | _checkpoints() if any(objects.is_s3(uri) for uri in uris) else {}
    builder = SparkSession.builder.appName(name).config(map={**ALWAYS, **on_s3, **encryption.spark(os.environ)})
    if is_submitted():  # the cluster decides the rest
        return _checked(builder.getOrCreate())
    _check_user()
    log, working = local_folders.logs() / f"spark-{os.getpid()}.log", local_folders.own()
    _quieten()
    # A SPARK_LOCAL_DIRS of the user's would win over the setting, and nobody would search what is left there.
    os.environ |= jars.spark_environment() | {"FRUITPIPE_LOG": str(log), "SPARK_LOCAL_DIRS": str(working)}
    wanted = jars.wanted(s3=any(objects.is_s3(uri) for uri in uris))
    java = (*java, *local_folders.java_options(working, log.parent))
    settings = local_settings(jars.paths(*wanted), log, java) | local_folders.settings(working) | s3a_settings(os.environ)
    try:
        return _checked(builder.master(master or LOCAL).config(map={**settings}).getOrCreate())
    except PySparkRuntimeError as error:
        raise PlatformFault(f"Spark did not start; {log} says why") from error


def _checkpoints() -> dict[str, str]:
    """How a stream writes its checkpoint on S3; Spark's default where no lane has this Spark.

    The default, through FileContext, asks the same questions three times for each rename, and is no more atomic on S3.
    """
    lane = lanes.of_spark(pyspark.__version__)
    if not lane:
        return {}
    return {"spark.sql.streaming.checkpointFileManagerClass": f"{lane.checkpoints}.FileSystemBasedCheckpointFileManager"}


def _check_user() -> None:
    """Raises MissingRequirement for a user id without a name, as in some containers: Java's login fails with it."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError as error:
        raise errors.MissingRequirement(
            f"user id {os.getuid()} has no name in /etc/passwd, and Java's login asks for one; add a line for it, or run as "
            "a user that has one"
        ) from error


def _quieten() -> None:
    """Silences pyspark and py4j on stderr when Java has ended; the job says it in one line."""
    for server in filter(None, (getattr(accumulators, name, None) for name in ACCUMULATOR_SERVERS)):
        server.handle_error = lambda *_: None
    logging.getLogger().addFilter(_is_not_from_py4j)
    # From 4.2 on pyspark warns of pandas 3, which its Arrow functions need and no job here uses.
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)


def _checked(spark: SparkSession) -> SparkSession:
    """Returns the session. Raises MissingRequirement where it was open before with other settings than ALWAYS."""
    for key, wanted in ALWAYS.items():
        given = spark.conf.get(key, None) if not key.startswith("spark.hadoop.") else wanted
        if given != wanted:
            raise errors.MissingRequirement(
                f"the Spark session that is open has {key} = {given}, and fruitpipe needs {wanted}; "
                "end it (spark.stop()) and start again"
            )
    return spark


def local_settings(jar_paths: list[str], log: Path, java: tuple[str, ...]) -> dict[str, str]:
    """Spark's settings on a laptop: one JVM, no ports open to others, a log file in place of the console."""
    cores = str(os.cpu_count() or 1)
    log_settings = Path(__file__).with_name("log4j2.properties")
    java_options = [f"-Dlog4j2.configurationFile=file:{log_settings}", f"-Dfruitpipe.log={log}", *java, *class_archive.options()]
    return {
        # Spark's own jars first: the AWS SDK's bundle carries an older SLF4J, which would win.
        "spark.driver.extraClassPath": ":".join([str(Path(pyspark.__file__).parent / "jars" / "*"), *jar_paths]),
        "spark.driver.extraJavaOptions": " ".join(f'"{option}"' for option in java_options),
        "spark.driver.memory": "2g",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # As many parts as cores: a commit of one image otherwise pays for 200 shuffle tasks and 50 snapshot tasks.
        "spark.sql.shuffle.partitions": cores,
        "spark.databricks.delta.snapshotPartitions": cores,
    }


def s3a_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """S3A's settings, with endpoint and credentials from where boto3 takes them: `environment`, profiles, the instance."""
    credentials = {"spark.hadoop.fs.s3a.aws.credentials.provider": ",".join(CREDENTIALS)}
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    if not endpoint:
        return credentials
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "eu-west-1"
    return credentials | {
        "spark.hadoop.fs.s3a.endpoint": endpoint,
        "spark.hadoop.fs.s3a.endpoint.region": region,
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": str(endpoint.startswith("https")).lower(),
    }


def _is_not_from_py4j(record: logging.LogRecord) -> bool:
    """A filter for the root logger, which py4j logs to."""
    return record.module not in ("java_gateway", "clientserver")
