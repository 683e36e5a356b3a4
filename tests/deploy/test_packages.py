"""The packages: the same checkout gives the same bytes. What they hold is installed and used by tests/soak/packages.py."""

import importlib.metadata
import io
import os
import signal
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

from fruitpipe.runtime import lanes
from tests.deploy.policies import template
from tests.scripts import load

CHECKOUT = Path(__file__).parents[2]
STREAM = CHECKOUT / "deploy" / "stream"
package, plan = load("package"), load("plan")


def test_packages_depend_on_names_contents_and_permissions_alone(tmp_path):
    made = []
    for order, time in ((["b", "a/c"], 0), (["a/c", "b"], 1e9)):
        folder = tmp_path / str(time)
        for name in order:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(name)
            os.utime(folder / name, (time, time))
        made.append((package.tarred(folder), package.zipped({name: folder / name for name in order})))
    assert made[0] == made[1]
    with tarfile.open(fileobj=io.BytesIO(made[0][0])) as archive:
        assert [(one.name, one.mtime, one.uid) for one in archive] == [("a/c", 0, 0), ("b", 0, 0)]
    (tmp_path / "0" / "b").chmod(0o755)
    assert package.tarred(tmp_path / "0") != made[0][0]


def test_packages_do_not_depend_on_the_python_that_makes_them_nor_on_the_day(tmp_path):
    assert package.tarred(tmp_path)[9] == 255, "which Python before 3.13 may say otherwise"
    (builder,) = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert builder in (CHECKOUT / "constraints.txt").read_text().splitlines()


def test_the_lambda_functions_find_each_other_in_their_packages(tmp_path):
    """Each package alone on the path, as Lambda unpacks it, gives the handlers that the template names."""
    handlers = {"collect_events": ["collect_events"], "start_refit": ["start_refit", "start_cluster"], "watch": ["watch"]}
    for name, modules in package.LAMBDAS.items():
        body = package.zipped({f"{one}.py": CHECKOUT / "lambda" / f"{one}.py" for one in modules})
        (tmp_path / f"{name}.zip").write_bytes(body)
        for module in handlers[name]:
            code = f"import {module}; assert callable({module}.handler); import sys; assert 'fruitpipe' not in sys.modules"
            environment = {"PYTHONPATH": str(tmp_path / f"{name}.zip"), "PATH": os.environ["PATH"]}
            subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True)
    assert sorted(package.LAMBDAS) == sorted(handlers)


@pytest.mark.parametrize("release", ["emr-spark-8.0.0", "emr-spark-8.1.0"])
def test_a_package_has_the_delta_of_its_release_of_emr(release):
    lines = package.constraints(release).splitlines()
    assert [line for line in lines if line.startswith("delta-spark")] == [f"delta-spark=={lanes.of_emr(release).delta}"]
    assert f"numpy=={importlib.metadata.version('numpy')}" in lines


@pytest.mark.parametrize(
    ("line", "extras"), [("", "see,metrics"), ("heic = false", "see,metrics"), ("heic = true", "see,metrics,heic")]
)
def test_nodes_decode_heic_where_the_parameters_file_asks_for_it(tmp_path, monkeypatch, line, extras):
    file, asked = tmp_path / "parameters.toml", []
    file.write_text(f'stack = "fruits"\nregion = "eu-west-1"\n{line}')
    monkeypatch.setattr(package, "own_wheel", lambda work: work / "fruitpipe-0-py3-none-any.whl")
    monkeypatch.setattr(package, "pip", lambda *arguments: asked.extend(arguments))
    (tmp_path / "model.tflite").write_bytes(b"a model")
    package.package(tmp_path / "dist", tmp_path / "model.tflite", plan.Plan.read(file, transient=False))
    assert {one.partition("[")[2] for one in asked if "fruitpipe" in one} == {f"{extras}]"}


def test_a_wish_for_heic_that_is_neither_true_nor_false_is_refused(tmp_path):
    file = tmp_path / "parameters.toml"
    file.write_text('stack = "fruits"\nregion = "eu-west-1"\nheic = "yes"')
    with pytest.raises(plan.Refused, match="heic = 'yes'; give true or false"):
        plan.Plan.read(file, transient=False)


@pytest.mark.parametrize(
    ("instance_type", "architecture"),
    [
        ("m5.xlarge", "x86_64"),
        ("m7i.xlarge", "x86_64"),
        ("m7g.xlarge", "aarch64"),
        ("m8g.xlarge", "aarch64"),
        ("m7gd.2xlarge", "aarch64"),
    ],
)
def test_nodes_with_graviton_get_the_package_for_aarch64(instance_type, architecture):
    assert plan.Plan("fruits", "eu-west-1", {"InstanceType": instance_type}).architecture == architecture


def test_the_release_without_a_word_is_the_templates_and_one_that_was_not_tested_is_refused(tmp_path):
    assert template()["Parameters"]["ReleaseLabel"]["Default"] == plan.RELEASE
    file = tmp_path / "parameters.toml"
    file.write_text('stack = "fruits"\nregion = "eu-west-1"')
    assert plan.Plan.read(file, transient=False).release == plan.RELEASE
    file.write_text('stack = "fruits"\nregion = "eu-west-1"\n[parameters]\nReleaseLabel = "emr-7.13.0"')
    with pytest.raises(plan.Refused, match=r"'emr-7.13.0' was not tested; give emr-spark-8.0.0 or emr-spark-8.1.0$"):
        plan.Plan.read(file, transient=False)


def test_a_wheel_is_named_as_pip_wants_it():
    assert package.pinned_name(Path("numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl")) == "numpy==2.4.6"


@pytest.fixture
def home(tmp_path):
    """A node whose spark-submit counts its starts and ends with what the file `codes` holds for each, 0 when it has run out."""
    for folder in ("bin", "opt/bin"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "opt/bin/stream").write_bytes(STREAM.read_bytes())
    submit = tmp_path / "bin" / "spark-submit"
    script = f"""#!/bin/sh
echo "$@" >> {tmp_path}/started
exit $(sed -n "$(wc -l < {tmp_path}/started)p" {tmp_path}/codes)
"""
    submit.write_text(script)
    submit.chmod(0o755)
    return tmp_path


def start(home, codes, *flags):
    (home / "codes").write_text("".join(f"{code}\n" for code in codes))
    environment = {"PATH": f"{home}/bin:{os.environ['PATH']}", "FRUITPIPE_RESTART_SECONDS": "0"}
    done = subprocess.run(
        ["bash", f"{home}/opt/bin/stream", *flags], env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, (home / "started").read_text().splitlines(), done.stderr


def test_the_stream_is_started_again_after_a_failure_with_the_same_flags(home):
    code, started, said = start(home, [1, 137, 0], "--images", "s3://b/a b", "--root", "s3://r/p")
    assert code == 0
    model = f"--model {home}/opt/model/mobilenetv2-1.0-224.tflite"
    assert (
        started
        == [f"--conf spark.yarn.queue=stream {home}/opt/streaming/ingest.py --images s3://b/a b --root s3://r/p {model}"] * 3
    )
    assert said.splitlines() == ["stream: ended with 1; starting again in 0 s", "stream: ended with 137; starting again in 0 s"]


def test_wrong_usage_is_not_tried_again(home):
    code, started, _ = start(home, [2, 0])
    assert (code, len(started)) == (2, 1)


def test_a_stream_that_is_told_to_stop_is_not_started_again(home):
    """The job is the child of spark-submit; it is told, finishes, and nothing begins anew."""
    job = home / "streaming" / "ingest.py"
    job.parent.mkdir()
    job.write_text("""
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("finished"), sys.exit(0)))
print("ready", flush=True)
while True:
    signal.pause()
""")
    (home / "bin" / "spark-submit").write_text(f"#!/bin/sh\necho start >> {home}/started\n{sys.executable} {job}\nexit $?\n")
    environment = {"PATH": f"{home}/bin:{os.environ['PATH']}"}
    command = ["bash", f"{home}/opt/bin/stream"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as stream:
        assert stream.stdout.readline() == "ready\n"
        stream.send_signal(signal.SIGTERM)
        assert stream.communicate(timeout=60)[0] == "finished\n"
    assert stream.returncode == 0
    assert (home / "started").read_text() == "start\n"
