"""The scripts and manifests of docs/on-slurm.md and docs/on-kubernetes.md: what they say exists and fits together."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from narrows.cli.main import app
from narrows.cli.settings import SETTINGS
from tests.conftest import ROOT
from workers.fleet.fleet import DRAIN_SECONDS

SLURM = (ROOT / "docs" / "on-slurm.md").read_text()
KUBERNETES = (ROOT / "docs" / "on-kubernetes.md").read_text()
SCRIPTS = {name: text for text, name in re.findall(r"```bash\n(#!/bin/bash\n# (\S+)\n.*?)```", SLURM, flags=re.DOTALL)}
MANIFESTS = {
    name: list(yaml.safe_load_all(text))
    for name, text in re.findall(r"```yaml\n# (\S+)\n(.*?)```", KUBERNETES, flags=re.DOTALL)
}
VARIABLES = {setting.environment for setting in SETTINGS}
PODS = [
    (name, one["spec"]["template"]["spec"])
    for name, documents in MANIFESTS.items()
    for one in documents
    if one["kind"] in ("Deployment", "Job")
]


def check_command(arguments: list[str]) -> None:
    """Parse a command of narrows, as the command line does; raises what it would say."""
    command = getattr(get_command(app), "commands", {})[arguments[0]]
    command.make_context(arguments[0], arguments[1:])


def commands_in(page: str) -> Iterator[list[str]]:
    """The `narrows` commands of a page's consoles."""
    for block in re.findall(r"```console\n(.*?)```", page, flags=re.DOTALL):
        for line in re.sub(r"\\\n", " ", block).splitlines():
            command = re.search(r"(?:^|[ (])narrows ((?:serve|submit|token|worker) .*)", line.split("     #")[0])
            if command is not None:
                yield shlex.split(re.split(r" > |\)", command[1])[0])


def test_every_block_is_looked_at() -> None:
    assert sorted(SCRIPTS) == ["cpu.sh", "gpu.sh"]
    assert SLURM.count("```bash") == len(SCRIPTS)
    assert sorted(MANIFESTS) == ["job.yaml", "service.yaml", "workers.yaml"]
    assert KUBERNETES.count("```yaml") == len(MANIFESTS)
    assert len(list(commands_in(SLURM))) == 3
    assert len(list(commands_in(KUBERNETES))) == 1


@pytest.mark.processes
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=list(SCRIPTS))
def test_a_job_script_is_bash_and_its_command_exists(script: str, tmp_path: Path) -> None:
    path = tmp_path / "job.sh"
    path.write_text(script)
    subprocess.run(["bash", "-n", str(path)], check=True)
    *_, last = script.strip().splitlines()
    assert last.startswith("exec narrows worker "), "the signal reaches the worker itself"
    check_command([word.replace("${SLURM_CPUS_PER_TASK:-1}", "8") for word in shlex.split(last)[2:]])
    assert set(re.findall(r"NARROWS_\w+", script)) <= VARIABLES | {"NARROWS_TOKEN_FILE"}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=list(SCRIPTS))
def test_a_job_is_told_of_its_end_early_enough(script: str) -> None:
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)=(\S+)$", script, flags=re.MULTILINE))
    assert {"array", "time", "signal", "output", "cpus-per-task"} <= options.keys()
    who, name, seconds = re.split("[:@]", options["signal"])
    assert (who, name) == ("B", "TERM")
    assert int(seconds) > 2 * DRAIN_SECONDS
    directives = [line for line in script.splitlines() if line.startswith("#SBATCH")]
    assert all(re.fullmatch(r"#SBATCH --[a-z-]+(=\S+)?", line) for line in directives)
    assert script.index("set -euo") > script.index(directives[-1]), "after a command, Slurm reads no directives"


@pytest.mark.parametrize(("name", "pod"), PODS, ids=[name for name, _ in PODS])
def test_a_pod_runs_a_command_that_exists_with_variables_that_exist(name: str, pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    assert container["command"][0] == "narrows", "no shell that keeps signals to itself"
    check_command(container["command"][1:])
    assert {variable["name"] for variable in container["env"]} <= VARIABLES
    assert pod["enableServiceLinks"] is False
    assert pod["terminationGracePeriodSeconds"] > DRAIN_SECONDS
    mounted = {mount["name"] for mount in container.get("volumeMounts", ())}
    assert mounted == {volume["name"] for volume in pod.get("volumes", ())}


def test_claims_selectors_ports_and_secrets_fit_together() -> None:
    documents = [one for file in MANIFESTS.values() for one in file]
    claims = {one["metadata"]["name"] for one in documents if one["kind"] == "PersistentVolumeClaim"}
    used = {volume["persistentVolumeClaim"]["claimName"] for _, pod in PODS for volume in pod.get("volumes", ())}
    assert used == claims
    for one in documents:
        if one["kind"] == "Deployment":
            assert one["spec"]["selector"]["matchLabels"] == one["spec"]["template"]["metadata"]["labels"]
    (service,) = [one for one in documents if one["kind"] == "Service"]
    address = f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    variables = [variable for _, pod in PODS for variable in pod["containers"][0]["env"]]
    assert {one["value"] for one in variables if one["name"] == "NARROWS_SERVER"} == {address}
    commands = re.sub(r"\\\n", " ", KUBERNETES)
    made = {
        (secret, key)
        for secret, rest in re.findall(r"create secret generic (\S+) (.*)", commands)
        for key in re.findall(r"--from-literal=(\w+)=", rest)
    }
    asked = [one["valueFrom"]["secretKeyRef"] for one in variables if "valueFrom" in one]
    assert {(one["name"], one["key"]) for one in asked} == made


def test_the_probes_are_routes_of_the_service() -> None:
    (container,) = MANIFESTS["service.yaml"][0]["spec"]["template"]["spec"]["containers"]
    routes = "".join(path.read_text() for path in (ROOT / "service" / "web" / "routes").glob("*.py"))
    for probe in ("readinessProbe", "livenessProbe"):
        assert f'"{container[probe]["httpGet"]["path"]}"' in routes
        assert container[probe]["httpGet"]["port"] == container["ports"][0]["containerPort"]


def test_the_images_user_is_the_pods() -> None:
    uid = re.search(r"useradd --uid (\d+)", (ROOT / "Dockerfile").read_text())
    assert uid is not None
    assert {pod["securityContext"]["runAsUser"] for _, pod in PODS} == {int(uid[1])}


@pytest.mark.parametrize("arguments", [*commands_in(SLURM), *commands_in(KUBERNETES)], ids=" ".join)
def test_the_commands_of_the_pages_exist(arguments: list[str]) -> None:
    if arguments[0] == "token":
        group = getattr(get_command(app), "commands", {})["token"]
        group.commands[arguments[1]].make_context(arguments[1], arguments[2:])
    else:
        check_command(arguments)
