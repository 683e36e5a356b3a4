"""The commands of docs/getting-started.md for a bucket, run as they stand there against an S3 server over HTTP."""

from tests.commands import of_page
from tests.pictures import jpeg


def test_the_commands_for_ones_own_bucket_do_what_the_page_says(s3, commands):
    bucket = s3.bucket()
    for number in range(6):
        s3.s3.put_object(Bucket=bucket, Key=f"images/{('Kiwi', 'Lemon')[number % 2]}/{number}.jpg", Body=jpeg(number))
    lines = [line.replace("s3://fruits", f"s3://{bucket}") for line in of_page("getting-started.md")["bucket"]]
    ended = [commands.run(line) for line in lines]
    assert [(one.code, one.stderr) for one in ended] == [(0, "")] * len(lines)
    doctor, ingested, status, refitted, report = (one.stdout for one in ended)
    assert "ok    root" in doctor
    assert ingested.splitlines()[-1] == "ingest: 6 images featurised, 0 failed"
    assert "6: 6 featurised, 0 failed" in status
    assert any(line.startswith("v000001: 6 rows, 2 labels") for line in refitted.splitlines())
    assert report.splitlines()[-1] == f"s3://{bucket}/pipe/reports/v000001.html"
    page = s3.s3.get_object(Bucket=bucket, Key="pipe/reports/v000001.html")["Body"].read()
    assert page.count(b"data:image/webp;base64,") == 6
