"""A bucket outside the European Union is refused before a job does anything, unless a setting allows it."""

import uuid

import pytest

from fruitpipe import objects, regions
from fruitpipe.errors import WrongUsage
from fruitpipe.jobs import ingest, reconcile, refit
from fruitpipe.objects import s3_connection
from fruitpipe.operations import job
from fruitpipe.settings import IngestSettings, ReconcileSettings, RefitSettings


@pytest.fixture
def bucket_in(aws):
    """Makes buckets in a region of the emulator's."""
    s3_connection.connection.cache_clear()

    def bucket_in(region):
        name = f"fruits-{uuid.uuid4().hex[:16]}"
        aws.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
        return f"s3://{name}"

    yield bucket_in
    s3_connection.connection.cache_clear()


@pytest.mark.parametrize(
    ("run", "settings", "images"),
    [(ingest.ingest, IngestSettings, True), (reconcile.reconcile, ReconcileSettings, True), (refit.refit, RefitSettings, False)],
)
def test_each_job_refuses_a_bucket_outside_the_union_and_writes_nothing(bucket_in, capsys, run, settings, images):
    inside, outside = bucket_in("eu-west-3"), bucket_in("eu-west-2")
    root = inside if images else outside
    given = ["--root", f"{root}/root", *(["--images", f"{outside}/in"] if images else [])]

    assert job.run(run, settings, given) == 1

    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"error: {outside} lies in eu-west-2, and data may lie in eu-central-1, ")
    allowed = f"{','.join(regions.UNION)},eu-west-2"  # and not that one alone, which would refuse the bucket inside
    assert said.endswith(f"allow the region with FRUITPIPE_REGIONS={allowed}, or --regions of a job")
    assert not objects.exists(root)


@pytest.mark.parametrize("region", ["us-west-2", "eu-central-2"])
def test_a_setting_allows_other_regions(bucket_in, monkeypatch, region):
    bucket, seen = bucket_in(region), []
    given = ["--root", f"{bucket}/root"]

    assert job.run(seen.append, RefitSettings, given) == 1
    assert job.run(seen.append, RefitSettings, [*given, "--regions", f"eu-west-1, {region}"]) == 0
    assert job.run(seen.append, RefitSettings, [*given, "--regions", "any"]) == 0
    monkeypatch.setenv("FRUITPIPE_REGIONS", region)
    assert job.run(seen.append, RefitSettings, given) == 0
    assert [settings.regions for settings in seen] == [f"eu-west-1,{region}", "any", region]


@pytest.mark.parametrize("region", ["eu-south-2", "eusc-de-east-1"])
def test_a_region_of_the_union_is_allowed(bucket_in, region):
    regions.check([f"{bucket_in(region)}/in"], ",".join(regions.UNION))


def test_a_folder_lies_in_no_region(tmp_path):
    regions.check([f"file://{tmp_path}"], "eu-west-1")


def test_no_region_at_all_is_wrong_usage(capsys):
    with pytest.raises(WrongUsage):
        regions.parse(" , ")
    assert job.run(print, RefitSettings, ["--root", "somewhere", "--regions", ""]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_real_s3_server_says_where_a_bucket_lies(s3, monkeypatch):
    s3_connection.connection.cache_clear()
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    assert objects.region(f"s3://{s3.bucket()}/in") == s3.region
    s3_connection.connection.cache_clear()
