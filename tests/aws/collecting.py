"""What stands between a bucket of images and the manifests: a queue, and the function that empties it."""

import io
import json
import uuid
import zipfile
from pathlib import Path

from fruitpipe.root import manifests

LAMBDA = Path(__file__).parents[2] / "lambda" / "collect_events.py"


class Collector:
    """A bucket of images, a queue with its dead-letter queue, and the function that empties it."""

    def __init__(self, aws):
        self.aws, self.sqs, self.functions = aws, aws.client("sqs"), aws.client("lambda")
        self.images, self.root = aws.bucket(), aws.bucket()
        self.name = f"collect-{uuid.uuid4().hex[:8]}"
        self.dead = self.create_queue("dead")
        redrive = json.dumps({"deadLetterTargetArn": self.arn(self.dead), "maxReceiveCount": "2"})
        self.queue = self.create_queue("events", VisibilityTimeout="1", RedrivePolicy=redrive)

    def create_queue(self, purpose, **attributes):
        return self.sqs.create_queue(QueueName=f"{self.name}-{purpose}", Attributes=attributes)["QueueUrl"]

    def arn(self, queue):
        return self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def waiting(self, queue):
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        return sum(
            int(count) for count in self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"].values()
        )

    def create_function(self):
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.write(LAMBDA, LAMBDA.name)
        variables = {"FRUITPIPE_ROOT": f"s3://{self.root}/pipeline", "FRUITPIPE_IMAGES": f"s3://{self.images}/Training"}
        self.functions.create_function(
            FunctionName=self.name,
            Runtime="python3.11",
            Role="arn:aws:iam::000000000000:role/collect-events",
            Handler="collect_events.handler",
            Code={"ZipFile": code.getvalue()},
            Environment={"Variables": variables},
            Timeout=30,
        )

    def is_active(self):
        return self.functions.get_function(FunctionName=self.name)["Configuration"]["State"] == "Active"

    def notify(self, **target):
        everything = {"Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
        configuration = {f"{kind}Configurations": [{**everything, f"{kind}Arn": arn}] for kind, arn in target.items()}
        self.aws.s3.put_bucket_notification_configuration(Bucket=self.images, NotificationConfiguration=configuration)

    def listen(self):
        self.functions.create_event_source_mapping(
            EventSourceArn=self.arn(self.queue),
            FunctionName=self.name,
            BatchSize=10,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )

    def invoke(self, batch):
        answer = self.functions.invoke(FunctionName=self.name, Payload=json.dumps(batch))
        result = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, result
        return result

    def put(self, name, body=b"image"):
        self.aws.s3.put_object(Bucket=self.images, Key=name, Body=body)

    def delete(self, name):
        self.aws.s3.delete_object(Bucket=self.images, Key=name)

    @property
    def manifests(self):
        return self.aws.s3.list_objects_v2(Bucket=self.root).get("Contents", [])

    @property
    def seen(self):
        """The events in all manifests, of which each line must be one that the stream can read."""
        bodies = [
            self.aws.s3.get_object(Bucket=self.root, Key=manifest["Key"])["Body"].read().decode() for manifest in self.manifests
        ]
        return [manifests.parse_line(line) for body in bodies for line in body.splitlines()]

    def uri(self, name):
        return f"s3://{self.images}/{name}"
