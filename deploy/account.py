"""Looks up what exists in the AWS account: buckets, the stack, its cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from plan import Plan

NOT_FOUND = 404
ENDED = {"TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS"}


class Account:
    """The clients of one region, and the names that the stack has there."""

    def __init__(self, plan: Plan) -> None:
        session = boto3.session.Session(region_name=plan.region)
        self.s3, self.cloudformation, self.emr = session.client("s3"), session.client("cloudformation"), session.client("emr")
        self.id: str = session.client("sts").get_caller_identity()["Account"]
        self.plan = plan

    @property
    def artifacts(self) -> str:
        return f"{self.plan.stack}-artifacts-{self.id}-{self.plan.region}"

    def data_bucket(self, kind: str) -> str:
        return f"{self.plan.stack}-{kind}-{self.id}-{self.plan.region}"

    def has_bucket(self, name: str) -> bool:
        try:
            self.s3.head_bucket(Bucket=name)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != NOT_FOUND:
                raise
            return False
        return True

    def stack(self) -> dict[str, Any] | None:
        try:
            (found,) = self.cloudformation.describe_stacks(StackName=self.plan.stack)["Stacks"]
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
            return None
        return None if found["StackStatus"] == "DELETE_COMPLETE" else dict(found)

    def is_gone(self, cluster_id: str) -> bool:
        """Whether a cluster has ended, which CloudFormation does not notice."""
        try:
            status = self.emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"]
        except self.emr.exceptions.InvalidRequestException:  # EMR has forgotten it
            return True
        return status in ENDED
