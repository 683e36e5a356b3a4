"""One setting names the key of KMS for boto3, for S3A and for the workers."""

from fruitpipe.objects import encryption

KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd"


def test_without_a_key_nothing_is_asked_for(monkeypatch):
    monkeypatch.delenv("FRUITPIPE_KMS_KEY", raising=False)
    encryption.use("")
    assert encryption.request() == {}
    assert encryption.spark({}) == {}


def test_a_flag_is_as_good_as_the_environment_for_boto3_s3a_and_the_workers(monkeypatch):
    monkeypatch.setenv("FRUITPIPE_KMS_KEY", "")
    encryption.use(KEY)
    assert encryption.request() == {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KEY}
    assert encryption.spark({"FRUITPIPE_KMS_KEY": KEY}) == {
        "spark.hadoop.fs.s3a.encryption.algorithm": "SSE-KMS",
        "spark.hadoop.fs.s3a.encryption.key": KEY,
        "spark.executorEnv.FRUITPIPE_KMS_KEY": KEY,
    }
