"""Creates, updates and removes the stack: `make deploy`, `make destroy`.

Both may be run again at any time. Packages are named by a hash of their content, so a deployment that changes nothing uploads
nothing. Usage: python deploy/deploy.py up|down PARAMETERS DIST [--transient]
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from account import Account
from botocore.exceptions import BotoCoreError, ClientError, WaiterError
from plan import Plan, Refused

TEMPLATE = Path(__file__).with_name("template.yaml")
FOREVER = {"Delay": 15, "MaxAttempts": 240}  # a cluster takes ten minutes to start, and to be replaced


def up(plan: Plan, dist: Path) -> None:
    """Creates or updates the stack, and prints its outputs and the next commands."""
    account = Account(plan)
    prefix = upload(account, dist)
    parameters = {**plan.endpoints, **plan.parameters} | {
        "ClusterGeneration": generation(account),
        "ArtifactsBucket": account.artifacts,
        "ArtifactsPrefix": prefix,
        "CertificatesKey": certificates(account),
        "CreateBuckets": "yes" if makes_buckets(account) else "no",
    }
    change(account, f"{prefix}/template.yaml", parameters)
    if parameters["CreateBuckets"] == "no":
        notify(account)
    report(account)


def upload(account: Account, dist: Path) -> str:
    """Uploads the packages into the artifacts bucket, and returns their prefix, a hash of their content."""
    wanted = ["bootstrap.sh", "collect_events.zip", "start_refit.zip", "watch.zip", f"node-{account.plan.architecture}.tar.gz"]
    if missing := [name for name in wanted if not (dist / name).is_file()]:
        raise Refused(f"{dist} lacks {', '.join(missing)}; run: make package")
    bodies = {name: (dist / name).read_bytes() for name in wanted} | {"template.yaml": TEMPLATE.read_bytes()}
    # A new template alone must not replace the cluster, so it does not count.
    packages = sorted(hashlib.sha256(body).hexdigest() for name, body in bodies.items() if name != "template.yaml")
    prefix = hashlib.sha256("".join(packages).encode()).hexdigest()[:16]
    make_artifacts_bucket(account)
    there = {one["Key"] for one in account.s3.list_objects_v2(Bucket=account.artifacts, Prefix=f"{prefix}/").get("Contents", ())}
    for name, body in bodies.items():
        if f"{prefix}/{name}" not in there or name == "template.yaml":
            account.s3.upload_fileobj(io.BytesIO(body), account.artifacts, f"{prefix}/{name}")
            print(f"uploaded {name} ({len(body) / 1e6:.1f} MB)", flush=True)
    return prefix


def make_artifacts_bucket(account: Account) -> None:
    """Makes the bucket for packages, private and encrypted, if it is missing. `make package` can make its content again."""
    bucket = account.artifacts
    if not account.has_bucket(bucket):
        place: Any = {"LocationConstraint": account.plan.region}  # the stubs list the regions of their day
        account.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
    account.s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    rule: Any = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    account.s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})


def certificates(account: Account) -> str:
    """The key of the certificates for traffic between nodes. They are made once, as another key would replace the cluster."""
    key = "certificates.zip"
    if "Contents" in account.s3.list_objects_v2(Bucket=account.artifacts, Prefix=key):
        return key
    with tempfile.TemporaryDirectory() as work:
        private, public = Path(work, "privateKey.pem"), Path(work, "certificateChain.pem")
        subject = f"/CN=*.{account.plan.region}.compute.internal"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", subject]
        subprocess.run([*command, "-keyout", str(private), "-out", str(public)], check=True, capture_output=True)
        (trusted := Path(work, "trustedCertificates.pem")).write_bytes(public.read_bytes())
        body = io.BytesIO()
        with zipfile.ZipFile(body, "w") as archive:
            for path in (private, public, trusted):
                archive.write(path, path.name)
        account.s3.put_object(Bucket=account.artifacts, Key=key, Body=body.getvalue())
    return key


def makes_buckets(account: Account) -> bool:
    """Whether the stack makes its buckets: not where a stack that was removed left them behind. Raises Refused."""
    if found := account.stack():
        given: dict[str, str] = {one["ParameterKey"]: one["ParameterValue"] for one in found["Parameters"]}
        return given.get("CreateBuckets", "yes") == "yes"
    names = [account.data_bucket(kind) for kind in ("images", "root")]
    there = [name for name in names if account.has_bucket(name)]
    if len(there) == 1:
        (missing,) = set(names) - set(there)
        raise Refused(f"there is a bucket {there[0]} and none called {missing}; make that one, private, or choose another stack")
    return not there


def generation(account: Account) -> str:
    """The number of the stack's cluster: the current one, or one more where that has ended, which starts another."""
    found = account.stack() or {}
    given = {one["ParameterKey"]: one["ParameterValue"] for one in found.get("Parameters", ())}
    outputs = {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", ())}
    last, cluster = int(given.get("ClusterGeneration", "1")), outputs.get("ClusterId")
    if cluster is None or not account.is_gone(cluster):
        return str(last)
    print(f"cluster {cluster} is gone: another is started", flush=True)
    return str(last + 1)


def change(account: Account, template_key: str, parameters: dict[str, str]) -> None:
    """Creates or updates the stack and waits until that has ended. Raises Refused where it fails."""
    cloudformation, stack = account.cloudformation, account.plan.stack
    found = account.stack()
    if found and found["StackStatus"] == "ROLLBACK_COMPLETE":  # of a creation that failed: it can only be removed
        cloudformation.delete_stack(StackName=stack)
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig=FOREVER)
        found = None
    try:
        (cloudformation.update_stack if found else cloudformation.create_stack)(**_wanted(account, template_key, parameters))
    except ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise
        return print(f"stack {stack}: nothing to change")
    print(f"stack {stack}: {'updating' if found else 'creating'} ...", flush=True)
    try:
        cloudformation.get_waiter(f"stack_{'update' if found else 'create'}_complete").wait(StackName=stack, WaiterConfig=FOREVER)
    except WaiterError as error:
        raise Refused(f"stack {stack}: {reasons(account) or error}; fix that and run make deploy again") from error
    return None


def _wanted(account: Account, template_key: str, parameters: dict[str, str]) -> dict[str, Any]:
    """The arguments of create_stack and update_stack."""
    url = account.s3.generate_presigned_url("get_object", Params={"Bucket": account.artifacts, "Key": template_key})
    return {
        "StackName": account.plan.stack,
        "TemplateURL": url.partition("?")[0],
        "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in sorted(parameters.items())],
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        "Tags": [{"Key": "application", "Value": "fruitpipe"}],
    }


def reasons(account: Account) -> str:
    """The first resources that failed, and why."""
    events = account.cloudformation.describe_stack_events(StackName=account.plan.stack)["StackEvents"]
    failed = [one for one in reversed(events) if one["ResourceStatus"].endswith("_FAILED") and one.get("ResourceStatusReason")]
    return "; ".join(f"{one['LogicalResourceId']}: {one['ResourceStatusReason']}" for one in failed[:3])


def notify(account: Account) -> None:
    """Sends the events of a bucket that an earlier stack left behind to this stack's queue, as the template does for its own."""
    rules = [{"Name": "prefix", "Value": f"{account.plan.parameters.get('ImagesPrefix', 'images')}/"}]
    queue = f"arn:aws:sqs:{account.plan.region}:{account.id}:{account.plan.stack}-image-events"
    events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*", "s3:ObjectRestore:Completed"]
    wired: Any = {"QueueArn": queue, "Events": events, "Filter": {"Key": {"FilterRules": rules}}}
    account.s3.put_bucket_notification_configuration(
        Bucket=account.data_bucket("images"), NotificationConfiguration={"QueueConfigurations": [wired]}
    )


def report(account: Account) -> None:
    """Prints the stack's outputs and the next commands."""
    found = account.stack()
    assert found
    outputs = {one["OutputKey"]: one["OutputValue"] for one in found["Outputs"]}
    print(f"stack {account.plan.stack} in {account.plan.region}: {found['StackStatus']}")
    for name, value in sorted(outputs.items()):
        print(f"  {name:16} {value}")
    print(f"next: aws s3 cp --recursive YOUR_IMAGES {outputs['Images']}/")
    cluster = f" --cluster {outputs['ClusterId']}" if "ClusterId" in outputs else ""
    print(f"then: fruitpipe doctor --root {outputs['Root']} --images {outputs['Images']}{cluster}")


def down(plan: Plan) -> None:
    """Removes the stack. The buckets stay; prints their names."""
    account = Account(plan)
    if account.stack():
        print(f"stack {plan.stack}: removing; the cluster ends ...", flush=True)
        account.cloudformation.delete_stack(StackName=plan.stack)
        try:
            account.cloudformation.get_waiter("stack_delete_complete").wait(StackName=plan.stack, WaiterConfig=FOREVER)
        except WaiterError as error:
            raise Refused(f"stack {plan.stack}: {reasons(account) or error}; fix that and run make destroy again") from error
    print(f"stack {plan.stack}: removed")
    kept = [name for kind in ("images", "root", "artifacts") if account.has_bucket(name := account.data_bucket(kind))]
    for name in kept:
        print(f"  kept, with all that is in it: s3://{name}")
    print("next: make deploy takes the buckets over again")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit code: 0 done, 1 failed, with one line on stderr."""
    parser = argparse.ArgumentParser(description="Creates, updates and removes the stack.")
    parser.add_argument("direction", choices=["up", "down"])
    parser.add_argument("parameters", type=Path)
    parser.add_argument("dist", type=Path)
    parser.add_argument("--transient", action="store_true", help="no cluster but while a refit runs")
    given = parser.parse_args(arguments)
    try:
        plan = Plan.read(given.parameters, given.transient)
        up(plan, given.dist) if given.direction == "up" else down(plan)
    except (Refused, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
