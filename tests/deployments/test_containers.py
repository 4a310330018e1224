"""The image, the compose file and the manifests, held to the code as far as that goes without an engine."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from deployments.cli import app
from lib.settings import ENV_FILE, PROJECT_ROOT, Settings

CONTAINERS = PROJECT_ROOT / "deployments" / "containers"
CONTAINERFILE = (CONTAINERS / "Containerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((CONTAINERS / "compose.yaml").read_text())
OURS = {name: one for name, one in COMPOSE["services"].items() if name != "database"}
PREFECTS = {"PREFECT_API_URL", "PREFECT_UI_URL"}


@dataclass(frozen=True)
class Pod:
    """One pod of the manifests."""

    kind: str
    spec: dict[str, Any]

    @property
    def container(self) -> dict[str, Any]:
        (container,) = self.spec["containers"]
        found: dict[str, Any] = container
        return found


def read_manifests() -> Iterator[dict[str, Any]]:
    for path in sorted((CONTAINERS / "kubernetes").glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text())


def read_pods() -> dict[str, Pod]:
    pods = {}
    for one in read_manifests():
        if one["kind"] in ("Deployment", "Job"):
            pods[one["metadata"]["name"]] = Pod(one["kind"], one["spec"]["template"]["spec"])
        if one["kind"] == "CronJob":
            pods[one["metadata"]["name"]] = Pod("CronJob", one["spec"]["jobTemplate"]["spec"]["template"]["spec"])
    return pods


PODS = read_pods()


def check_command(arguments: list[str]) -> None:
    """Parse a command line as `fks` does, without running it."""
    command = typer.main.get_command(app)
    with command.make_context("fks", arguments) as context:
        name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])  # type: ignore[attr-defined]
        found.make_context(name, rest, parent=context)


def check_settings(names: set[str]) -> None:
    assert names <= {f"FKS_{name.upper()}" for name in Settings.model_fields} | {ENV_FILE} | PREFECTS | {"HEALTH_URL"}


def test_the_image_has_no_build_tools_no_root_and_says_whether_it_is_well() -> None:
    first, last = CONTAINERFILE.split("\nFROM ${BASE}\n")
    assert re.search(r"^ARG BASE=python:3\.1[123][\w.-]*$", first, re.MULTILINE)  # a tag; no digest, by decision
    assert "pip uninstall" in first
    assert "make" not in re.findall(r"apt-get install .*", last)[0]
    assert re.search(r"^USER [1-9]\d*$", last, re.MULTILINE)
    assert last.index("USER ") < last.index("ENTRYPOINT")
    assert "HEALTHCHECK" in last


def test_the_image_gets_nothing_but_code_and_pins() -> None:
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.*)$", CONTAINERFILE, re.MULTILINE) for name in line.split()[:-1]
    }
    ignored = (PROJECT_ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == copied
    assert all((PROJECT_ROOT / name).exists() for name in copied)


def test_every_command_of_the_containers_is_one_of_fks() -> None:
    for one in OURS.values():
        check_command(one["command"])
    for pod in PODS.values():
        check_command(pod.container["args"])
    with pytest.raises(Exception, match="No such option"):
        check_command(["worker", "--helth-port", "8080"])


def test_every_command_of_the_page_about_production_is_one_of_fks(tmp_path: Path) -> None:
    page = (PROJECT_ROOT / "docs" / "production.md").read_text()
    said = re.findall(r"^(?:\S*/)?fks ([^#\n]+)|[`=](?:/\S+/)?fks ([a-z][^`\n]*)", page, re.MULTILINE)
    commands = {(line or inline).strip() for line, inline in said}
    assert len(commands) > 12
    unsaid = {"restore": str(tmp_path), "migrate --to": "0001", "halt": "a reason"}  # in a sentence
    for command in commands:
        words = shlex.split(f"{command} {shlex.quote(unsaid[command])}" if command in unsaid else command)
        check_command([str(tmp_path) if word.startswith("/backups/") else word for word in words])
    for script in re.findall(r"deployments/containers/[\w.-]+", page):
        assert (PROJECT_ROOT / script).exists(), script


def test_every_setting_of_the_containers_exists_and_none_is_a_secret() -> None:
    given = {name: value for one in OURS.values() for name, value in one["environment"].items()}
    config = next(one for one in read_manifests() if one["kind"] == "Kustomization")
    literals = dict(line.split("=", 1) for line in config["configMapGenerator"][0]["literals"])
    for environment in (given, literals):
        check_settings(set(environment))
        assert environment["FKS_EXCHANGE"] != "simulator"
        assert not re.search("AUTH|KEY|SECRET|PASSWORD|DATABASE_URL", " ".join(environment))
    example = (CONTAINERS / "kubernetes" / "secret.example.env").read_text()
    assert set(re.findall(r"^(FKS_[A-Z]+)__", example, re.MULTILINE)) == {"FKS_ACCOUNTS", "FKS_CHANNELS"}


def test_compose_restarts_checks_and_bounds_what_it_runs() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["restart"] in ("unless-stopped", "on-failure", "no"), name
        assert not service["image"].endswith(":latest"), name
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in COMPOSE["volumes"], name
        for secret in service["secrets"]:
            assert COMPOSE["secrets"][secret]["file"].startswith("./secrets/"), name
    for name, service in OURS.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
    assert COMPOSE["services"]["server"]["ports"] == ["127.0.0.1:4200:4200"]
    assert "ports" not in COMPOSE["services"]["database"]
    health = OURS["worker"]["environment"]["HEALTH_URL"]
    assert health == f"http://127.0.0.1:{OURS['worker']['command'][-1]}/health"


@pytest.mark.parametrize("name", sorted(PODS))
def test_a_pod_is_not_root_and_can_write_its_folders_only(name: str) -> None:
    pod = PODS[name]
    assert pod.spec["securityContext"]["runAsNonRoot"]
    assert f"--uid {pod.spec['securityContext']['runAsUser']} " in CONTAINERFILE
    inside = pod.container["securityContext"]
    assert inside == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod.spec["enableServiceLinks"] is False  # a service called prefect would set PREFECT_PORT
    assert {mount["name"] for mount in pod.container["volumeMounts"]} == {one["name"] for one in pod.spec["volumes"]}
    assert pod.container["resources"]["limits"]["memory"]
    if pod.kind == "Deployment":
        ports = {port["name"] for port in pod.container["ports"]}
        probes = [pod.container[one] for one in ("startupProbe", "livenessProbe")]
        assert {probe["httpGet"]["port"] for probe in probes} <= ports


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl, which puts manifests together, is not installed")
def test_kustomize_puts_the_manifests_together_with_image_namespace_and_secret(tmp_path: Path) -> None:
    shutil.copytree(CONTAINERS / "kubernetes", tmp_path / "made")
    (tmp_path / "made" / "secret.example.env").rename(tmp_path / "made" / "fks.env")
    done = subprocess.run(["kubectl", "kustomize", str(tmp_path / "made")], capture_output=True, text=True, check=True)
    made = list(yaml.safe_load_all(done.stdout))
    (secret,) = [one["metadata"]["name"] for one in made if one["kind"] == "Secret"]
    assert {one["metadata"]["namespace"] for one in made if one["kind"] != "Namespace"} == {"fks"}
    text = done.stdout
    assert text.count("image: registry.example.org/fks:0.1.0") == len(PODS)
    assert text.count(f"secretName: {secret}") == len(PODS)


def test_secrets_are_made_once_closed_to_others_and_work_as_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, folder = CONTAINERS / "make-secrets.sh", tmp_path / "secrets"
    subprocess.run(["sh", str(script), str(folder)], check=True, capture_output=True)
    assert folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv(ENV_FILE, str(folder / "fks.env"))
    from lib.settings import load_settings

    url = load_settings().database_url
    assert url is not None
    assert (folder / "postgres_password").read_text() in url.get_secret_value()
    again = subprocess.run(["sh", str(script), str(folder)], check=False, capture_output=True, text=True)
    assert (again.returncode, "has secrets already" in again.stderr) == (1, True)
