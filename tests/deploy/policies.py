"""The template as a test reads it, and every policy that it grants."""

import functools
import re
from pathlib import Path

from cfnlint.decode import cfn_yaml

TEMPLATE = Path(__file__).parents[2] / "deploy" / "template.yaml"


@functools.cache
def template():
    return cfn_yaml.load(str(TEMPLATE))


def policies():
    """Name and document of every policy of a role, bucket, queue, topic, key or endpoint, its functions made to text."""
    for name, resource in template()["Resources"].items():
        properties = resource.get("Properties", {})
        for key in ("PolicyDocument", "KeyPolicy"):
            if key in properties:
                yield name, resource["Type"], as_text(properties[key])
        for policy in properties.get("Policies", []) if resource["Type"] == "AWS::IAM::Role" else []:
            yield f"{name}/{policy['PolicyName']}", resource["Type"], as_text(policy["PolicyDocument"])


def as_text(value):
    """Each function of CloudFormation's as what it might come to."""
    if isinstance(value, list):
        return [as_text(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "Fn::Sub" in value:
        text, own = (value["Fn::Sub"], {}) if isinstance(value["Fn::Sub"], str) else value["Fn::Sub"]
        known = {"AWS::Partition": "aws", "AWS::Region": "eu-west-1", "AWS::AccountId": "123456789012", **as_text(own)}
        return re.sub(r"\$\{([^}]+)\}", lambda found: known.get(found[1], named(found[1])), text)
    if "Fn::GetAtt" in value:
        return named(".".join(value["Fn::GetAtt"]) if isinstance(value["Fn::GetAtt"], list) else value["Fn::GetAtt"])
    if "Ref" in value and isinstance(value["Ref"], str):
        return {"AWS::AccountId": "123456789012"}.get(value["Ref"], named(value["Ref"]))
    return {key: as_text(one) for key, one in value.items()}


def named(reference):
    """An ARN where the reference is to one."""
    if reference == "DataKey":
        return "arn:aws:kms:eu-west-1:123456789012:key/data"
    resource = template()["Resources"].get(reference.removesuffix(".Arn"), {}).get("Type")
    if not (reference.endswith(".Arn") or resource == "AWS::SNS::Topic"):
        return reference.replace("::", "-").lower()
    name = reference.removesuffix(".Arn").lower()
    return {
        "AWS::S3::Bucket": f"arn:aws:s3:::{name}",
        "AWS::SQS::Queue": f"arn:aws:sqs:eu-west-1:123456789012:{name}",
        "AWS::SNS::Topic": f"arn:aws:sns:eu-west-1:123456789012:{name}",
        "AWS::KMS::Key": f"arn:aws:kms:eu-west-1:123456789012:key/{name}",
        "AWS::IAM::Role": f"arn:aws:iam::123456789012:role/{name}",
        "AWS::Serverless::Function": f"arn:aws:lambda:eu-west-1:123456789012:function:{name}",
    }[resource]
