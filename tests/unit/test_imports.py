"""What a process imports before it does its work: each package that it does without is time that its user does not wait."""

import subprocess
import sys

import pytest

from tests import pictures

SPARK = ("pyspark", "py4j.java_gateway", "delta")
S3 = ("boto3", "botocore", "obstore")
SLOW = (*SPARK, *S3, "ai_edge_litert", "PIL", "pandas", "pyarrow.compute", "pyarrow.parquet", "rich", "multiprocessing")
RUN = """
import sys
from fruitpipe import cli
try:
    cli.main(sys.argv[2:])
finally:
    print(sorted(set(sys.argv[1].split(",")) & set(sys.modules)))
"""


def imported(names, *arguments):
    """What a command printed, and at its end those of the modules that it has imported."""
    command = [sys.executable, "-c", RUN, ",".join(names), *map(str, arguments)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode in (0, 1), answer.stderr  # 1: the doctor finds that no version is published
    return answer.stdout.strip().rpartition("\n")


@pytest.fixture(scope="module")
def ingested(tmp_path_factory):
    """The flags of a run that took one picture in, and what it had imported of Spark and for S3."""
    folder = tmp_path_factory.mktemp("imports")
    pictures.fill(folder / "images", 1)
    flags = ["--images", folder / "images", "--root", folder / "root", "--once", "--images-without-spark", 10]
    return flags, imported((*SPARK, *S3, "rich", "sklearn"), "ingest", *flags)


def test_a_run_with_few_images_imports_neither_spark_nor_boto3(ingested):
    _, (said, _, names) = ingested
    assert "1 images featurised, 0 failed" in said
    assert names == "[]"


def test_a_run_that_finds_nothing_new_imports_what_lists_and_reads_the_table_and_no_more(ingested):
    flags, _ = ingested
    said, _, names = imported(SLOW, "ingest", *flags)
    assert "0 images featurised, 0 failed" in said
    assert names == "[]"


@pytest.mark.parametrize("command", ["status", "errors"])
def test_a_look_at_the_table_imports_what_reads_and_prints_it_and_no_more(ingested, command):
    (_, _, _, root, *_), _ = ingested
    slow = [name for name in SLOW if name not in ("rich", "PIL")]
    assert imported(slow, command, "--root", root)[2] == "[]"


def test_the_doctor_of_a_local_root_imports_nothing_for_aws(ingested):
    (_, images, _, root, *_), _ = ingested
    _, _, names = imported((*S3, "pandas"), "doctor", "--root", root, "--images", images)
    assert names == "[]"


def test_a_workers_process_imports_no_command_line_no_settings_and_nothing_that_reads_the_table():
    """It imports the script of the command again, `fruitpipe.cli`, and what its task is made of."""
    needless = ("typer", "pydantic", "deltalake", "rich", *SPARK, *S3)
    code = f"import sys, fruitpipe.cli, fruitpipe.ingest.local_workers; print(sorted(set({needless}) & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
