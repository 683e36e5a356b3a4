"""Listing a real S3 server: every object below a prefix once, and no request for what lies beside it."""

from concurrent.futures import ThreadPoolExecutor

from fruitpipe import objects
from fruitpipe.objects import s3_connection


def put(s3, bucket, keys):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.s3.put_object(Bucket=bucket, Key=key, Body=b"x"), keys))


def test_several_pages_are_listed_at_once_and_each_object_once(s3, bucket):
    labels = ("Kiwi", "Kiwi 2", "Kiwi-2", "Kiwi/late", "pêche", "🍓")
    keys = [f"in/{label}/r_{number}_100.jpg" for label in labels for number in range(400)]
    put(s3, bucket, [*keys, "in-old/a.jpg"])
    listed = [stat.path for stat in objects.list_all(f"s3://{bucket}/in")]
    assert sorted(listed) == sorted(f"s3://{bucket}/{key}" for key in keys)


def test_siblings_whose_names_begin_alike_are_not_paged_through(s3, bucket):
    put(s3, bucket, [f"input/{number}.jpg" for number in range(1001)])
    put(s3, bucket, ["in/a.jpg"])
    asked = []
    s3_connection.client().meta.events.register("before-call.s3.ListObjectsV2", lambda **about: asked.append(about))
    assert [stat.path for stat in objects.list_all(f"s3://{bucket}/in")] == [f"s3://{bucket}/in/a.jpg"]
    assert len(asked) == 2  # what is below, and what is there itself
