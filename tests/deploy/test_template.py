"""The template: what two linters say of it, that each policy names what it is for, and what must hold on AWS."""

import json
import re
import subprocess
import sys
from pathlib import Path

import parliament
import pytest

from benchmarks import costs
from fruitpipe import regions
from fruitpipe.objects import bucket_settings
from tests.deploy.policies import TEMPLATE, as_text, policies, template
from tests.scripts import load

plan = load("plan")
POLICIES = {name: (kind, document) for name, kind, document in policies()}
DEFINITIONS = json.loads((Path(parliament.__file__).parent / "iam_definition.json").read_text())


def actions_without_resources():
    """What AWS's own list of actions has no resource for."""
    return {
        f"{service['prefix']}:{privilege['privilege']}"
        for service in DEFINITIONS
        for privilege in service["privileges"]
        if not any(kind["resource_type"] for kind in privilege["resource_types"])
    }


def listed(value):
    return value if isinstance(value, list) else [value]


def test_cfn_lint_has_nothing_to_say():
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--include-checks", "I", "--", str(TEMPLATE)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [line for line in answer.stdout.splitlines() if re.match("[EW]", line)]
    assert said == []


@pytest.mark.parametrize("name", POLICIES)
def test_the_linter_of_policies_has_nothing_to_say(name):
    kind, document = POLICIES[name]
    findings = parliament.analyze_policy_string(json.dumps(document)).findings
    in_a_keys_own_policy = {"RESOURCE_STAR"} if kind == "AWS::KMS::Key" else set()  # where * is the key
    assert [finding for finding in findings if finding.issue not in in_a_keys_own_policy] == []


@pytest.mark.parametrize("name", POLICIES)
def test_no_policy_says_any_where_a_resource_can_be_named(name):
    kind, document = POLICIES[name]
    nameless = actions_without_resources()
    assert {"elasticmapreduce:ListClusters", "cloudwatch:PutMetricData"} < nameless
    for statement in document["Statement"]:
        if statement["Effect"] == "Deny" or "Resource" not in statement or kind == "AWS::KMS::Key":
            continue
        assert not any("*" in action for action in listed(statement["Action"])), statement
        if "*" in listed(statement["Resource"]):
            assert set(listed(statement["Action"])) <= nameless, statement
        assert not any(re.fullmatch(r"arn:aws:s3:::[^/]*\*", one) for one in listed(statement["Resource"])), statement


def test_the_stream_may_ask_what_a_certificate_says_of_its_buckets_through_the_endpoint_and_change_none_of_it():
    of_operation = {
        "GetBucketVersioning": "s3:GetBucketVersioning",
        "GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
        "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
        "GetBucketLogging": "s3:GetBucketLogging",
        "GetBucketReplication": "s3:GetReplicationConfiguration",
        "ListBucketInventoryConfigurations": "s3:GetInventoryConfiguration",
        "GetBucketMetadataConfiguration": "s3:GetBucketMetadataTableConfiguration",
    }
    wanted = {of_operation[operation] for operation, _ in bucket_settings.SETTINGS.values()} | {"s3:ListBucketMultipartUploads"}
    for policy in ("NodeRole/jobs", "S3Endpoint"):
        granted = {one for statement in POLICIES[policy][1]["Statement"] for one in listed(statement["Action"])}
        assert wanted <= granted
        changing = re.compile("s3:(Put|Delete|Update|Create).*(Configuration|Logging|Versioning|Bucket|Policy)")
        assert not [one for one in granted if changing.match(one)]


def test_a_role_is_assumed_by_one_service_and_none_may_be_assumed_by_all():
    for name, resource in template()["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            (statement,) = resource["Properties"]["AssumeRolePolicyDocument"]["Statement"]
            assert statement["Principal"]["Service"].endswith(".amazonaws.com"), name


def test_a_stack_outside_the_union_is_refused_by_a_rule():
    (rule,) = template()["Rules"].values()
    (assertion,) = rule["Assertions"]
    allowed, asked = assertion["Assert"]["Fn::Contains"]
    assert asked == {"Ref": "AWS::Region"}
    assert set(allowed) == set(regions.UNION) - regions.SOVEREIGN


@pytest.mark.parametrize("bucket", ["ImagesBucket", "RootBucket"])
def test_buckets_are_private_encrypted_versioned_and_outlive_the_stack(bucket):
    resources = template()["Resources"]
    resource = resources[bucket]
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert set(resource["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    assert resource["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}
    assert "ServerSideEncryptionConfiguration" in resource["Properties"]["BucketEncryption"]
    (statement,) = resources[f"{bucket}Policy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_the_functions_times_are_in_order():
    """The trigger ends before its claim expires, and that before Lambda's last attempt; the queue waits for the collector."""
    resources = template()["Resources"]
    trigger, collector = resources["Trigger"]["Properties"], resources["Collector"]["Properties"]
    guard = int(trigger["Environment"]["Variables"]["FRUITPIPE_GUARD_SECONDS"])
    assert 60 <= trigger["Timeout"] <= 90 < guard < 180
    assert resources["EventsQueue"]["Properties"]["VisibilityTimeout"] >= 6 * collector["Timeout"]


def configurations(cluster):
    return {one["Classification"]: one.get("ConfigurationProperties", {}) for one in cluster["Configurations"]}


def test_the_stream_leaves_room_for_the_refit_and_keeps_a_cluster_alive_only_where_it_runs():
    cluster = template()["Resources"]["Cluster"]["Properties"]
    assert cluster["StepConcurrencyLevel"] >= 2
    assert [step["ActionOnFailure"] for step in cluster["Steps"]] == ["CONTINUE"]
    assert template()["Conditions"]["LongLived"]["Fn::And"][1] == {"Fn::Equals": [{"Ref": "Stream"}, "yes"]}
    settings = configurations(cluster)["spark-defaults"]
    executor_mb = 2 * 1024 + int(settings["spark.executor.memoryOverhead"].removesuffix("m"))
    assert settings["spark.executor.memory"] == "2g"
    assert 2 * executor_mb + 1024 <= 12 * 1024  # YARN's share of an m5.xlarge, with an application's master


def test_the_number_of_nodes_is_in_nothing_that_is_for_the_clusters_life():
    """CloudFormation replaces a cluster whose configurations, steps, name or bootstrap actions change."""
    cluster = template()["Resources"]["Cluster"]["Properties"]
    for fixed in ("Configurations", "Steps", "Name", "BootstrapActions"):
        assert not set(re.findall(r"CoreNodes|MaximumNodes|Scales", json.dumps(cluster[fixed], default=str))), fixed
    assert cluster["Instances"]["CoreInstanceGroup"]["InstanceCount"] == {"Ref": "CoreNodes"}


@pytest.mark.parametrize("nodes", [1, 2, 10])
def test_the_streams_queue_has_room_for_an_executor_a_node_and_the_other_for_three_applications(nodes):
    found = configurations(template()["Resources"]["Cluster"]["Properties"])
    queues, spark = found["capacity-scheduler"], found["spark-defaults"]
    master_mb, executor_mb = 512 + 384, 2 * 1024 + int(spark["spark.executor.memoryOverhead"].removesuffix("m"))
    half_mb = nodes * 12 * 1024 * int(queues["yarn.scheduler.capacity.root.stream.maximum-capacity"]) // 100
    assert (half_mb - master_mb) // executor_mb >= nodes
    assert 3 * master_mb <= half_mb * float(queues["yarn.scheduler.capacity.maximum-am-resource-percent"])
    assert sum(int(queues[f"yarn.scheduler.capacity.root.{name}.capacity"]) for name in ("default", "stream")) == 100
    assert "--conf spark.yarn.queue=stream" in (TEMPLATE.parent / "stream").read_text()


def test_spark_logs_warnings_alone_as_the_streams_step_never_ends():
    assert configurations(template()["Resources"]["Cluster"]["Properties"])["spark-log4j2"] == {"rootLogger.level": "warn"}


def test_a_key_of_the_users_is_named_by_all_that_writes_and_may_be_used_by_their_roles():
    resources = template()["Resources"]
    for function in ("Collector", "Trigger"):
        assert resources[function]["Properties"]["Environment"]["Variables"]["FRUITPIPE_KMS_KEY"] == {"Ref": "DataKey"}
    (exported,) = [
        one["Configurations"]
        for one in resources["Cluster"]["Properties"]["Configurations"]
        if one["Classification"] == "spark-env"
    ]
    assert exported == [{"Classification": "export", "ConfigurationProperties": {"FRUITPIPE_KMS_KEY": {"Ref": "DataKey"}}}]
    roles = {one["Ref"] for one in resources["UsesDataKey"]["Properties"]["Roles"]}
    assert roles == {"CollectorRole", "TriggerRole", "WatchRole", "NodeRole"}


def test_buckets_use_bucket_keys_so_that_a_key_of_kms_is_not_asked_for_each_object():
    resources = template()["Resources"]
    for bucket in ("ImagesBucket", "RootBucket"):
        (rule,) = resources[bucket]["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["BucketKeyEnabled"] is True


def test_the_cluster_that_the_trigger_starts_is_set_up_as_the_long_lived_one():
    resources = template()["Resources"]
    text = as_text(resources["Trigger"]["Properties"]["Environment"]["Variables"]["FRUITPIPE_CLUSTER"]["Fn::If"][2])
    started = json.loads(text.replace('"InstanceCount": corenodes', '"InstanceCount": 2'))
    cluster = as_text(resources["Cluster"]["Properties"])
    for same in (
        "Applications",
        "LogUri",
        "ReleaseLabel",
        "ServiceRole",
        "JobFlowRole",
        "SecurityConfiguration",
        "BootstrapActions",
    ):
        assert started[same] == cluster[same], same
    ours = {one["Classification"]: one.get("Properties", {}) for one in started["Configurations"]}
    theirs = configurations(cluster)
    del theirs["capacity-scheduler"]  # where no stream runs, nothing is to be left to others
    assert ours == theirs
    assert started["Instances"]["KeepJobFlowAliveWhenNoSteps"] is False
    assert len(text) < 3500  # Lambda takes 4 KB for all variables of a function


def test_eventbridge_may_publish_without_a_condition_which_it_does_not_support_and_nobody_else_may():
    statements = as_text(template()["Resources"]["AlertsPolicy"]["Properties"]["PolicyDocument"])["Statement"]
    conditions = {tuple(listed(one["Principal"]["Service"])): one.get("Condition") for one in statements}
    ours = {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert conditions == {
        ("cloudwatch.amazonaws.com", "budgets.amazonaws.com"): ours,
        ("events.amazonaws.com",): None,
    }


def test_each_rule_of_eventbridge_has_an_alarm_for_what_it_could_not_deliver():
    resources = template()["Resources"]
    rules = {name for name, one in resources.items() if one["Type"] == "AWS::Events::Rule"}
    alarms = [one["Properties"] for one in resources.values() if one["Type"] == "AWS::CloudWatch::Alarm"]
    untold = [one["Dimensions"] for one in alarms if one["MetricName"] == "FailedInvocations"]
    assert sorted(dimensions[0]["Value"]["Ref"] for dimensions in untold) == sorted(rules)


def test_the_budget_does_not_warn_of_a_cluster_of_the_default_size_in_a_long_month():
    parameters = template()["Parameters"]
    assert parameters["CoreNodes"]["Default"] == costs.Factors().nodes - 1
    long_month = 31 * 24 * costs.Factors().hour + 10  # and what runs beside
    assert long_month < 0.8 * parameters["MonthlyBudgetUsd"]["Default"]


def test_events_that_nobody_collects_have_an_alarm_and_one_that_cannot_be_collected_has_another():
    resources = template()["Resources"]
    queue, waits = resources["EventsQueue"]["Properties"], resources["EventsWait"]["Properties"]
    assert as_text(waits["Dimensions"]) == [{"Name": "QueueName", "Value": "EventsQueue.QueueName".lower()}]
    assert (waits["Namespace"], waits["MetricName"]) == ("AWS/SQS", "ApproximateAgeOfOldestMessage")
    assert waits["Threshold"] > queue["RedrivePolicy"]["maxReceiveCount"] * queue["VisibilityTimeout"]


PREFIXES = {"images": True, "fruit/2026_a-b": True, "images/": False, "a//b": False, "/a": False, "": False, "a b": False}


@pytest.mark.parametrize("name", ["ImagesPrefix", "RootPrefix"])
@pytest.mark.parametrize(("prefix", "is_allowed"), PREFIXES.items())
def test_a_prefix_with_a_slash_at_its_end_is_refused_as_no_key_would_match(tmp_path, name, prefix, is_allowed):
    assert bool(re.fullmatch(template()["Parameters"][name]["AllowedPattern"], prefix)) is is_allowed
    file = tmp_path / "parameters.toml"
    file.write_text(f'stack = "fruits"\nregion = "eu-west-1"\n[parameters]\n{name} = "{prefix}"')
    if is_allowed:
        plan.Plan.read(file, transient=False)
        return
    with pytest.raises(plan.Refused, match=f"{name} '{prefix}'; give names of letters"):
        plan.Plan.read(file, transient=False)


def test_every_queue_of_the_dead_has_an_alarm_and_each_alarm_tells_somebody():
    resources = template()["Resources"]
    alarms = {name: one["Properties"] for name, one in resources.items() if one["Type"] == "AWS::CloudWatch::Alarm"}
    watched = {as_text(alarm["Dimensions"])[0]["Value"] for alarm in alarms.values()}
    dead = {name for name, one in resources.items() if one["Type"] == "AWS::SQS::Queue" and "Dead" in name}
    assert dead == {"EventsDeadLetters", "TriggerDeadLetters"}
    assert {f"{name}.QueueName".lower() for name in dead} <= watched
    assert all(alarm["AlarmActions"] == [{"Ref": "Alerts"}] for alarm in alarms.values())
