"""The template itself on the emulator: deployed, used from an upload to reduced features, deployed again, removed, taken over."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ministack.services.cloudformation.provisioners import _RESOURCE_HANDLERS

from fruitpipe import objects
from fruitpipe.objects import s3_connection
from fruitpipe.refit import pointer, publication
from fruitpipe.runtime import cache, jars, java, session
from tests import cluster
from tests.deploy import policies
from tests.pictures import jpeg
from tests.scripts import load

pytestmark = pytest.mark.spark

CHECKOUT = Path(__file__).parents[2]
deploy, package = load("deploy"), load("package")
PICTURES = 6
# What the emulator cannot hold. EMR's API it has, so the test starts the cluster and the template's names for it become its id.
NOT_HELD = {"AWS::EMR::Cluster", "AWS::EMR::SecurityConfiguration", "AWS::Budgets::Budget", "AWS::EC2::SecurityGroupIngress"}


def held(cluster_id):
    """The template without what the emulator cannot hold."""
    template = json.loads(json.dumps(policies.template(), default=str))
    resources = template["Resources"]
    gone = {name for name, one in resources.items() if one["Type"] in NOT_HELD}
    template["Resources"] = {name: one for name, one in resources.items() if name not in gone}
    for one in template["Resources"].values():
        depends = one.get("DependsOn", [])
        one["DependsOn"] = [name for name in ([depends] if isinstance(depends, str) else depends) if name not in gone]
    text = json.dumps(template).replace('{"Ref": "Cluster"}', json.dumps(cluster_id)).replace("${Cluster}", cluster_id)
    return text.replace('"python3.13"', '"python3.11"').replace("${Encryption}", "encryption")


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """The packages; the nodes' own is made, and installed, by another test."""
    folder = tmp_path_factory.mktemp("dist")
    for name, modules in package.LAMBDAS.items():
        (folder / f"{name}.zip").write_bytes(package.zipped({f"{one}.py": CHECKOUT / "lambda" / f"{one}.py" for one in modules}))
    (folder / "bootstrap.sh").write_bytes((CHECKOUT / "deploy" / "bootstrap.sh").read_bytes())
    (folder / "node-x86_64.tar.gz").write_bytes(b"what a node installs")
    return folder


@pytest.fixture
def node(tmp_path, aws):  # noqa: ARG001 - its environment is the node's
    """What a node of the cluster has: the jobs where the bootstrap puts them, and spark-submit with its settings."""
    home, conf = tmp_path / "home", tmp_path / "conf"
    for folder in (home / "bin", home / "model", conf):
        folder.mkdir(parents=True)
    for name in ("streaming", "batch"):
        (home / name).symlink_to(CHECKOUT / name)
    (home / "bin" / "stream").write_bytes((CHECKOUT / "deploy" / "stream").read_bytes())
    (home / "bin" / "stream").chmod(0o755)
    (home / "model" / "mobilenetv2-1.0-224.tflite").symlink_to(cache.folder() / "mobilenetv2-1.0-224.tflite")
    jar_path = ":".join([str(cluster.SPARK_HOME / "jars" / "*"), *jars.paths(*jars.wanted(s3=True))])  # as the archive has them
    defaults = {"spark.master": "local[2]", "spark.driver.extraClassPath": jar_path, **session.s3a_settings(os.environ)}
    defaults |= {"spark.sql.shuffle.partitions": 2, "spark.databricks.delta.snapshotPartitions": 2}
    defaults |= {"spark.driver.extraJavaOptions": cluster.QUICK_JAVA}
    (conf / "spark-defaults.conf").write_text("".join(f"{key} {value}\n" for key, value in defaults.items()))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    settings = {"SPARK_CONF_DIR": str(conf), "JAVA_HOME": java.home(), "PATH": path, "PYSPARK_PYTHON": sys.executable}
    return home, os.environ | settings


@pytest.fixture
def stack(request, aws, tmp_path, dist, node, monkeypatch):
    """Deploys; gives the function that does it again, and the cluster."""
    s3_connection.connection.cache_clear()
    cluster_id = aws.client("emr").run_job_flow(
        Name="fruits", ReleaseLabel="emr-spark-8.1.0", Instances={"KeepJobFlowAliveWhenNoSteps": True}, StepConcurrencyLevel=4
    )["JobFlowId"]
    name = "kept" if "taken_over" in request.node.name else "fruits"
    parameters, template = tmp_path / "parameters.toml", tmp_path / "template.json"
    parameters.write_text(f'stack = "{name}"\nregion = "eu-west-1"\n[parameters]\nHome = "{node[0]}"\n')
    template.write_text(held(cluster_id))
    monkeypatch.setattr(deploy, "TEMPLATE", template)
    monkeypatch.setattr(deploy, "FOREVER", {"Delay": 1, "MaxAttempts": 120})
    yield lambda direction, *flags: deploy.main([direction, str(parameters), str(dist), *flags]), cluster_id
    s3_connection.connection.cache_clear()


def test_what_the_emulator_cannot_hold_is_known():
    types = {one["Type"] for one in policies.template()["Resources"].values()}
    assert {kind for kind in types if kind not in _RESOURCE_HANDLERS and "Serverless" not in kind} == NOT_HELD


def upload(s3, images):
    """Pictures below the prefix, and one beside it."""
    bucket, prefix = images.removeprefix("s3://").split("/")
    for seed in range(PICTURES):
        s3.put_object(Bucket=bucket, Key=f"{prefix}/Kiwi/{seed} a+b.jpg", Body=jpeg(seed))
    s3.put_object(Bucket=bucket, Key="elsewhere/0.jpg", Body=jpeg(0))


def images_in_manifests(s3, root):
    """How many images the root's manifests name."""
    bucket, prefix = root.removeprefix("s3://").split("/")
    found = s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/events/").get("Contents", ())
    bodies = [s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in found if one["Size"]]
    return len({json.loads(line)["path"] for body in bodies for line in body.splitlines()})


def stream_until_done(node, images, root):
    """The cluster's step runs on the node until all pictures are featurised, and is then asked to end."""
    home, environment = node
    step = policies.as_text(policies.template()["Resources"]["Cluster"]["Properties"]["Steps"][0])
    given = {"--images": images, "--root": root}
    command = [f"{home}/bin/stream", *step["HadoopJarStep"]["Args"][1:]]
    command = [given.get(before, one) for before, one in zip(["", *command], command, strict=False)]
    assert command[1:] == ["--images", images, "--root", root, "--source", "events"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as stream:
        lines = []
        for line in stream.stdout:
            lines.append(line)
            if f"{PICTURES} featurised" in line:
                break
        stream.send_signal(signal.SIGTERM)
        rest, errors = stream.communicate(timeout=120)
        assert f"ingest: {PICTURES} images featurised, 0 failed" in rest, (lines, rest, errors[-2000:])
        assert stream.returncode == 0


def test_from_the_template_to_reduced_features(aws, stack, node, capsys, eventually):
    (run, cluster_id), (home, environment) = stack, node
    assert run("up") == 0, capsys.readouterr().err
    outputs = outputs_of(capsys)
    images, root = outputs["Images"], outputs["Root"]
    upload(aws.s3, images)
    eventually(lambda: images_in_manifests(aws.s3, root) == PICTURES)
    stream_until_done(node, images, root)

    scheduled = {"execution_id": "one", "scheduled_time": "2026-11-25T03:00:00Z", "schedule_arn": "arn", "components": 3}
    answers = [invoke(aws, outputs["TriggerFunction"], scheduled) for _ in range(2)]
    assert [answer["started"] for answer in answers] == [True, False], answers
    (added,) = aws.client("emr").list_steps(ClusterId=cluster_id)["Steps"]
    command = added["Config"]["Args"]
    assert command == ["spark-submit", f"{home}/batch/refit.py", "--root", root, "--components", "3"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"v000001: {PICTURES} rows, 1 labels; k = 3 keeps" in done.stdout
    assert pointer.find(root).version == "v000001"
    assert publication.load_reduction(root).k == 3
    assert objects.exists(f"{root}/triggers/refit.json")

    measured = invoke(aws, "fruits-watch", {})
    assert (measured["StreamAlive"], measured["ErrorShare"]) == (0.0, 0.0), measured


def test_deployed_again_removed_and_taken_over_and_no_image_is_lost(aws, stack, capsys, eventually):
    run, _ = stack
    assert run("up") == 0, capsys.readouterr().err
    first = outputs_of(capsys)
    bucket, prefix = first["Images"].removeprefix("s3://").split("/")
    aws.s3.put_object(Bucket=bucket, Key=f"{prefix}/Kiwi/0.jpg", Body=jpeg(0))

    assert run("up") == 0
    again = capsys.readouterr().out
    assert "uploaded node" not in again  # what is there already is not uploaded again

    assert run("down") == 0
    assert f"kept, with all that is in it: s3://{bucket}" in capsys.readouterr().out
    assert aws.s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/")["KeyCount"] == 1
    assert run("down") == 0  # nothing is there, and that is no error
    assert "removed" in capsys.readouterr().out

    assert run("up") == 0, capsys.readouterr().err
    root_bucket, root_prefix = outputs_of(capsys)["Root"].removeprefix("s3://").split("/")
    aws.s3.put_object(Bucket=bucket, Key=f"{prefix}/Kiwi/1.jpg", Body=jpeg(1))
    events = {"Bucket": root_bucket, "Prefix": f"{root_prefix}/events/"}
    eventually(lambda: aws.s3.list_objects_v2(**events)["KeyCount"])  # the bucket that was taken over tells the new queue
    assert run("down") == 0


def outputs_of(capsys):
    """What a deployment printed of the stack, by name."""
    said = capsys.readouterr().out
    outputs = dict(line.split() for line in said.splitlines() if line.startswith("  "))
    assert f"next: aws s3 cp --recursive YOUR_IMAGES {outputs['Images']}/" in said
    return outputs


def invoke(aws, function, event):
    answer = aws.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
    body = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, body
    return body


class Stack:
    """Of a deployment, what the decision about its cluster asks."""

    def __init__(self, emr, cluster_id, generation):
        self.emr = emr
        self.found = {"Parameters": [{"ParameterKey": "ClusterGeneration", "ParameterValue": generation}]}
        self.found["Outputs"] = [{"OutputKey": "ClusterId", "OutputValue": cluster_id}] if cluster_id else []

    def stack(self):
        return self.found

    def is_gone(self, cluster_id):
        return deploy.Account.is_gone(self, cluster_id)


def test_a_cluster_that_is_gone_is_replaced_by_the_next_deployment_and_a_living_one_stays(aws, capsys):
    emr = aws.client("emr")
    cluster = emr.run_job_flow(Name="fruits", ReleaseLabel="emr-spark-8.1.0", Instances={"KeepJobFlowAliveWhenNoSteps": True})
    cluster_id = cluster["JobFlowId"]
    assert deploy.generation(Stack(emr, cluster_id, "3")) == "3"
    assert deploy.generation(Stack(emr, None, "3")) == "3", "a transient set-up has none between two runs"
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    assert deploy.generation(Stack(emr, cluster_id, "3")) == "4"
    assert deploy.generation(Stack(emr, "j-FORGOTTEN", "1")) == "2"
    assert f"cluster {cluster_id} is gone: another is started" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("instance_type", "endpoint"),
    [("m5.xlarge", "no"), ("r6g.2xlarge", "no"), ("m5d.xlarge", "yes"), ("c6gd.large", "yes"), ("i4i.large", "yes")],
)
def test_nodes_with_disks_of_their_own_get_a_way_to_kms_unless_the_file_says_otherwise(instance_type, endpoint):
    assert deploy.Plan("fruits", "eu-west-1", {"InstanceType": instance_type}).endpoints == {"KmsEndpoint": endpoint}


def test_one_bucket_of_two_is_refused_since_neither_way_would_work(aws, dist, tmp_path, capsys):
    place = {"CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}
    aws.s3.create_bucket(Bucket="half-images-000000000000-eu-west-1", **place)
    (tmp_path / "parameters.toml").write_text('stack = "half"\nregion = "eu-west-1"')
    assert deploy.main(["up", str(tmp_path / "parameters.toml"), str(dist)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "none called half-root-000000000000-eu-west-1" in line


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('stack = "fruits"\nregion = "eu-west-2"', "lies outside the European Union"),
        ('stack = "Fruits!"\nregion = "eu-west-1"', "2 to 20 of a-z"),
        ('stack = "fruits"', "'region'; it needs stack and region"),
        ("stack =", "it needs stack and region"),
    ],
)
def test_a_parameters_file_that_cannot_be_is_refused_in_one_line(tmp_path, capsys, text, complaint):
    (tmp_path / "parameters.toml").write_text(text)
    assert deploy.main(["up", str(tmp_path / "parameters.toml"), str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line
