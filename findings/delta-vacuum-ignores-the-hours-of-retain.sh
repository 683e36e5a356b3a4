#!/usr/bin/env bash
# VACUUM table RETAIN n HOURS, in Delta Lake for Spark.
# Guess: with the check of the retention duration switched off, files that the table has not needed for n hours go; n is obeyed.
# Seen (pyspark 4.1.1, delta-spark 4.2.0): n is ignored unless it is 0. A file that was removed three hours ago
#        stays with RETAIN 1 HOURS, as the table's delta.deletedFileRetentionDuration, a week unless set, counts alone. It goes when
#        spark.databricks.delta.vacuum.retentionWindowIgnore.enabled is false.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pyspark==4.1.1 delta-spark==4.2.0 py4j==0.10.9.9
cd "$work"
"$work/venv/bin/python" - 2>"$work/log" <<'PYTHON' || { tail -5 "$work/log"; exit 1; }
import json
import os
import time
from pathlib import Path

from delta import configure_spark_with_delta_pip
from pyspark.sql import SparkSession

builder = (
    SparkSession.builder.master("local[1]")
    .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
    .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
    .config("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    .config("spark.databricks.delta.snapshotPartitions", "1")
    .config("spark.sql.shuffle.partitions", "1")
    .config("spark.ui.enabled", "false")
    .config("spark.ui.showConsoleProgress", "false")
)
spark = configure_spark_with_delta_pip(builder).getOrCreate()
table = Path("table").resolve()
spark.range(5).write.format("delta").save(str(table))
spark.range(5, 10).write.format("delta").mode("overwrite").save(str(table))

# The overwrite is made three hours older: the time of the removal in the log, and the files' own.
hours_ago = int((time.time() - 3 * 3600) * 1000)
removed = table / "_delta_log" / f"{1:020}.json"
lines = [json.loads(line) for line in removed.read_text().splitlines()]
for line in lines:
    if "remove" in line:
        line["remove"]["deletionTimestamp"] = hours_ago
removed.write_text("".join(json.dumps(line) + "\n" for line in lines))
for file in [*table.glob("*.parquet"), *table.glob("_delta_log/*")]:
    if not file.name.endswith(".crc"):
        os.utime(file, (hours_ago / 1000, hours_ago / 1000))
for checksum in table.rglob("*.crc"):  # of Hadoop's, which no longer fit
    checksum.unlink()
spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()


def files_after(retain):
    spark.sql(f"VACUUM delta.`{table}` RETAIN {retain} HOURS")
    return len(list(table.glob("*.parquet")))


before = len(list(table.glob("*.parquet")))
ignored = files_after(1)
spark.conf.set("spark.databricks.delta.vacuum.retentionWindowIgnore.enabled", "false")
obeyed = files_after(1)
print(f"data files: {before}; after RETAIN 1 HOURS: {ignored}; after the same with retentionWindowIgnore off: {obeyed}")
assert ignored == before and obeyed < before, "this has changed"
PYTHON
