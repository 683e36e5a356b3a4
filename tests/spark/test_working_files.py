"""What Spark, Java and the workers write beside the root lies in one folder, which the next start removes."""

from __future__ import annotations

import os
from pathlib import Path

from fruitpipe.runtime import local_folders


def test_spark_java_hadoop_and_the_workers_write_into_the_process_own_folder(spark):
    own = local_folders.own()
    of_java = own / local_folders.JAVA
    assert spark._jvm.java.lang.System.getProperty("java.io.tmpdir") == str(of_java)
    worker = spark.sparkContext.parallelize([0], 1).map(lambda _: os.environ["PYTHON_FAULTHANDLER_DIR"]).first()
    assert Path(worker).parent == of_java
    made = Path(spark._jvm.org.apache.spark.util.Utils.getLocalDir(spark._jsc.sc().conf()))
    assert made.parent == own
    hadoop = spark._jsc.hadoopConfiguration()
    assert hadoop.get("hadoop.tmp.dir") == str(own / "hadoop")
    assert str(own) in spark.conf.get("spark.sql.warehouse.dir")
