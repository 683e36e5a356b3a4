"""The doctor: a healthy set-up, and set-ups with one thing broken each, on the emulator and on a folder."""

import json
import os
import re
import subprocess
import sys
import uuid
from datetime import timedelta
from pathlib import Path

import pytest

from fruitpipe import cli, objects
from fruitpipe.objects import s3_connection
from fruitpipe.operations import aws_checks
from fruitpipe.root import lease
from tests.aws.test_stack import package
from tests.pictures import jpeg
from tests.rows import empty_table
from tests.versions import publish

CHECKOUT = Path(__file__).parents[2]
ALL = ["java", "jars", "model", "credentials", "region", "root", "clock", "lifecycle", "images", "events", "copies", "cluster"]
ALL += ["table", "manifests", "erasures", "stream", "pointer"]


class Setup:
    """Buckets, queue, function and cluster as the template wires them, and a published version."""

    def __init__(self, aws):
        self.aws, self.name = aws, f"fruits-{uuid.uuid4().hex[:8]}"
        self.images_bucket, root_bucket = aws.bucket(), aws.bucket()
        self.images, self.root = f"s3://{self.images_bucket}/images", f"s3://{root_bucket}/pipeline"
        aws.s3.put_object(Bucket=self.images_bucket, Key="images/Kiwi/0.jpg", Body=jpeg(0))
        self.queue, self.dead = (self.make_queue(name) for name in (self.name, f"{self.name}-dead"))
        redrive = json.dumps({"deadLetterTargetArn": self.arn(self.dead), "maxReceiveCount": 5})
        aws.client("sqs").set_queue_attributes(QueueUrl=self.queue, Attributes={"RedrivePolicy": redrive})
        self.notify(["s3:ObjectCreated:*", "s3:ObjectRemoved:*"])
        self.make_reader()
        self.cluster = self.make_cluster(4)
        empty_table(self.root)
        publish(self.root)

    def make_queue(self, name):
        return self.aws.client("sqs").create_queue(QueueName=name)["QueueUrl"]

    def arn(self, queue):
        return self.aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def notify(self, events):
        rules = {"Key": {"FilterRules": [{"Name": "prefix", "Value": "images/"}]}}
        wired = [{"QueueArn": self.arn(self.queue), "Events": events, "Filter": rules}]
        self.aws.s3.put_bucket_notification_configuration(
            Bucket=self.images_bucket, NotificationConfiguration={"QueueConfigurations": wired}
        )

    def make_reader(self):
        function = self.aws.client("lambda")
        function.create_function(
            FunctionName=self.name,
            Runtime="python3.11",
            Role="arn:aws:iam::000000000000:role/collect",
            Handler="collect_events.handler",
            Code={"ZipFile": package.zipped({"collect_events.py": CHECKOUT / "lambda" / "collect_events.py"})},
        )
        self.mapping = function.create_event_source_mapping(EventSourceArn=self.arn(self.queue), FunctionName=self.name)["UUID"]

    def make_cluster(self, concurrency):
        return self.aws.client("emr").run_job_flow(
            Name=self.name,
            ReleaseLabel="emr-spark-8.1.0",
            Instances={
                "KeepJobFlowAliveWhenNoSteps": True,
                "InstanceGroups": [
                    {"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1},
                    {"InstanceRole": "CORE", "InstanceType": "m5.xlarge", "InstanceCount": 2},
                ],
            },
            StepConcurrencyLevel=concurrency,
        )["JobFlowId"]


@pytest.fixture
def setup(aws):
    s3_connection.connection.cache_clear()
    setup = Setup(aws)
    with lease.held(setup.root):
        yield setup
    s3_connection.connection.cache_clear()


def examine(setup, capsys, **changed):
    """The lines by check, and the exit code."""
    given = {"root": setup.root, "images": setup.images, "cluster": setup.cluster} | changed
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor", *(text for name, value in given.items() for text in (f"--{name}", value))])
    said = capsys.readouterr()
    print(said.out)
    assert said.err == ""
    return {line.split()[1]: line for line in said.out.splitlines()}, ended.value.code


def failed(lines):
    return [name for name, line in lines.items() if line.startswith("FAIL")]


def test_a_healthy_set_up_is_well(setup, capsys):
    lines, code = examine(setup, capsys)
    assert (list(lines), failed(lines), code) == (ALL, [], 0)
    assert not [child for child in objects.children(f"{setup.root}/triggers") if "doctor" in child]


def test_what_a_cluster_has_cost_is_said_with_how_to_stop_it(setup, capsys):
    lines, _ = examine(setup, capsys)
    said = "for 0 h, about $0 at list prices; it does not end itself while a stream runs; stop it, in a checkout: make destroy"
    assert said in lines["cluster"]
    assert aws_checks.cost({"m5.xlarge": 3}, 400) == ", about $324 at list prices; it does not end itself while a stream runs"
    assert aws_checks.cost({"x9.huge": 3}, 400) == aws_checks.cost({}, 400) == ""


def test_copies_that_s3_makes_are_told_before_the_first_erasure_and_break_nothing(setup, capsys):
    logging = {"TargetBucket": setup.images_bucket, "TargetPrefix": "logs/"}
    setup.aws.s3.put_bucket_logging(Bucket=setup.images_bucket, BucketLoggingStatus={"LoggingEnabled": logging})
    setup.aws.s3.create_multipart_upload(Bucket=setup.images_bucket, Key="images/Kiwi/1.jpg")
    lines, code = examine(setup, capsys)
    assert (failed(lines), code) == ([], 0)
    where = f"s3://{setup.images_bucket}/logs/"
    assert (
        f"access logs of the bucket {setup.images_bucket} (on: {where}): aws s3 rm --recursive {where} --exclude '*'"
        in lines["copies"]
    )
    assert f"incomplete uploads of the bucket {setup.images_bucket} (1 of the images)" in lines["copies"]
    unknown = lines["copies"].partition("unknown, as it was not answered: ")[2]
    assert f"metadata tables of the bucket {setup.images_bucket}, CloudTrail's data events" in unknown


def test_the_record_of_processing_is_of_the_buckets_as_they_are(setup, capsys):
    key, copy = "arn:aws:kms:eu-west-1:000000000000:key/1", setup.aws.bucket()
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    setup.aws.s3.put_bucket_encryption(Bucket=setup.images_bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    for bucket in (setup.images_bucket, copy):
        setup.aws.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    copying = {"Status": "Enabled", "Priority": 1, "Filter": {}, "Destination": {"Bucket": f"arn:aws:s3:::{copy}"}}
    copying["DeleteMarkerReplication"] = {"Status": "Disabled"}
    rules = {"Role": "arn:aws:iam::000000000000:role/copies", "Rules": [copying]}
    setup.aws.s3.put_bucket_replication(Bucket=setup.images_bucket, ReplicationConfiguration=rules)
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor", "--record", "--root", setup.root, "--images", setup.images, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0
    assert f"s3://{setup.images_bucket}: eu-west-1, in the European Union" in told["(e) transfers to third countries"]
    assert f"replicas of the bucket {setup.images_bucket}: on: s3://{copy}/" in told["(d) recipients"]
    assert f"encryption of the bucket {setup.images_bucket}: on: aws:kms {key}" in told["(g) security measures"]
    assert f"versions of the bucket {setup.images_bucket}: on: Enabled" in told["(f) time limits"]


def no_notification(setup):
    setup.notify(["s3:ObjectCreated:*"])


def nothing_reads_the_queue(setup):
    setup.aws.client("lambda").delete_event_source_mapping(UUID=setup.mapping)


def a_dead_letter(setup):
    setup.aws.client("sqs").send_message(QueueUrl=setup.dead, MessageBody="{}")


def a_cluster_that_is_gone(setup):
    setup.aws.client("emr").terminate_job_flows(JobFlowIds=[setup.cluster])


def one_step_at_a_time(setup):
    setup.cluster = setup.make_cluster(1)


def a_pointer_to_nothing(setup):
    objects.delete_all(f"{setup.root}/models/v000001")


def a_rule_that_removes_by_age(setup):
    """Beside rules for what the root can do without, which are no fault."""
    rules = [
        ("logs", "emr-logs/", 30),
        ("rejected", "pipeline/rejected/", 5),
        ("another root", "pipeline-2/", 5),
        ("tidy", "pipe", 90),
    ]
    told = [
        {"ID": name, "Status": "Enabled", "Filter": {"Prefix": prefix}, "Expiration": {"Days": days}}
        for name, prefix, days in rules
    ]
    setup.aws.s3.put_bucket_lifecycle_configuration(Bucket=objects.bucket(setup.root), LifecycleConfiguration={"Rules": told})


def a_foreign_root(setup):
    objects.write(f"{setup.root}/holiday.jpg", b"1")


def no_images(setup):
    objects.delete_all(setup.images)


@pytest.mark.parametrize(
    ("breaks", "check", "said"),
    [
        (no_notification, "events", "no queue is told of images that are created and removed; deploy the stack again"),
        (nothing_reads_the_queue, "events", "no Lambda function reads it"),
        (a_dead_letter, "events", "1 unread messages lie in its dead-letter queue"),
        (a_cluster_that_is_gone, "cluster", "is TERMINATED; start another"),
        (one_step_at_a_time, "cluster", "--step-concurrency-level 4"),
        (a_pointer_to_nothing, "pointer", "reduction.json: there is no such object"),
        (a_rule_that_removes_by_age, "lifecycle", "lifecycle rule tidy removes what is 90 days old below s3://"),
        (a_foreign_root, "root", "holiday.jpg, which fruitpipe did not write"),
        (no_images, "images", "there is nothing there"),
    ],
)
def test_what_is_broken_is_named_and_hides_nothing_else(setup, capsys, breaks, check, said):
    breaks(setup)
    lines, code = examine(setup, capsys)
    assert (list(lines), failed(lines), code) == (ALL, [check], 1)
    assert said in lines[check]


def test_a_damaged_model_a_forbidden_region_and_a_cluster_that_never_was_are_named(setup, capsys, tmp_path):
    (tmp_path / "model").write_bytes(b"not a model")
    lines, code = examine(setup, capsys, model=str(tmp_path / "model"), regions="eu-west-3", cluster="j-NEVERWAS")
    assert (failed(lines), code) == (["model", "region", "cluster"], 1)
    assert "build it again with: fruitpipe model build" in lines["model"]
    assert "lies in eu-west-1, and data may lie in eu-west-3 only" in lines["region"]


def test_a_stream_that_is_gone_is_missed(aws, capsys):
    s3_connection.connection.cache_clear()
    lines, code = examine(Setup(aws), capsys)
    assert (failed(lines), code) == (["stream"], 1)
    s3_connection.connection.cache_clear()


def test_a_stream_that_is_silent_is_missed_and_one_that_lives_is_told_with_its_lease(setup, capsys, monkeypatch):
    lines, _ = examine(setup, capsys)
    assert re.search(r"process \d+ since 20.*; another may take over in [56]\d s, unless it renews", lines["stream"])
    later = objects.store_time(setup.root) + timedelta(seconds=70)
    monkeypatch.setattr(objects, "store_time", lambda _: later)
    capsys.readouterr()
    lines, _ = examine(setup, capsys)
    assert re.match("FAIL .* is silent; the next takes over", lines["stream"])


@pytest.mark.parametrize(
    ("seconds", "said"), [(-90, r"\d\d s ahead of that of s3"), (90, r"\d\d s behind that of s3"), (40, "within 4")]
)
def test_a_clock_that_is_off_is_told_from_the_stores(setup, capsys, monkeypatch, seconds, said):
    real = objects.store_time
    monkeypatch.setattr(objects, "store_time", lambda uri: real(uri) + timedelta(seconds=seconds))
    lines, _ = examine(setup, capsys)
    assert (lines["clock"].startswith("FAIL"), bool(re.search(said, lines["clock"]))) == (abs(seconds) > 60, True)


def test_without_credentials_every_part_of_aws_says_so_in_its_own_line(setup):
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    environment = {name: value for name, value in os.environ.items() if name not in keys}
    asked = ["doctor", "--root", setup.root, "--images", setup.images, "--json"]
    command = [str(Path(sys.executable).with_name("fruitpipe")), *asked]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = [one["name"] for one in findings if not one["ok"]]
    needs = [
        "credentials",
        "region",
        "root",
        "clock",
        "images",
        "events",
        "table",
        "manifests",
        "erasures",
        "stream",
        "pointer",
    ]
    assert wrong == needs
    (copies,) = [one["said"] for one in findings if one["name"] == "copies"]
    assert copies.startswith("unknown, as it was not answered: ")
    assert all("no AWS credentials were found" in one["said"] for one in findings if not one["ok"])


def test_a_folder_needs_no_aws(tmp_path, capsys, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    (tmp_path / "images" / "Kiwi").mkdir(parents=True)
    (tmp_path / "images" / "Kiwi" / "0.jpg").write_bytes(jpeg(0))
    root = str(tmp_path / "root")
    with lease.held(f"file://{root}"), pytest.raises(SystemExit) as ended:
        cli.main(["doctor", "--root", root, "--images", str(tmp_path / "images")])
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines()}
    assert list(lines) == ["java", "jars", "model", "root", "images", "table", "manifests", "erasures", "stream", "pointer"]
    assert (failed(lines), ended.value.code) == (["table", "pointer"], 1)
    assert "run fruitpipe refit" in lines["pointer"]
    assert lease.holder(f"file://{root}") is None
