"""The files of docs/deploy for Kubernetes: what the API of Kubernetes accepts, and what Gantry needs."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gantry import server
from gantry.engines.addresses import parse_engine
from gantry.engines.local_calls import LEAVE_SECONDS
from gantry.settings.loading import load_settings
from tests.support.missing import not_tested

HOME = Path(__file__).parents[2] / "docs" / "deploy" / "kubernetes"
FILES = sorted(HOME.glob("*.yaml"))
ENGINE_FILES = sorted((HOME / "engine").glob("*.yaml"))
OLDEST, NEWEST = "1.30", "1.34"


def read(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


MANIFESTS = [each for path in FILES for each in read(path)]
ENGINE = [each for path in ENGINE_FILES for each in read(path)]


def find_pods(manifests: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each["spec"]["template"] for each in manifests if "template" in each["spec"]}


PODS = find_pods([each for each in MANIFESTS if "spec" in each])
ENGINE_PODS = find_pods(ENGINE)


def find(kind: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in MANIFESTS if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("path", [*FILES, *ENGINE_FILES], ids=lambda path: path.stem)
def test_kubernetes_accepts_it(path: Path, version: str) -> None:
    if importlib.util.find_spec("kubernetes_validate") is None:
        not_tested("kubernetes-validate is missing: pip install kubernetes-validate")
    import kubernetes_validate

    for each in read(path):
        kubernetes_validate.validate(each, version, strict=True)
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(each | {"notThere": 1}, version, strict=True)


def test_no_file_chooses_a_namespace() -> None:
    assert [each for each in [*MANIFESTS, *ENGINE] if "namespace" in each["metadata"]] == []
    assert len(MANIFESTS) == 8


@pytest.mark.parametrize("name", [*PODS, *ENGINE_PODS])
def test_pods_are_confined(name: str) -> None:
    spec = (PODS | ENGINE_PODS)[name]["spec"]
    (container,) = spec["containers"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True and spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    context = container["securityContext"]
    assert context["readOnlyRootFilesystem"] is True and context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["requests"]["memory"] and container["resources"]["limits"]["memory"]
    empty = {each["name"] for each in spec["volumes"] if "emptyDir" in each}
    writable = {each["mountPath"] for each in container["volumeMounts"] if each["name"] in empty}
    assert writable == ({"/tmp"} if name in ENGINE_PODS else {"/var/lib/gantry", "/tmp"})  # noqa: S108
    assert not re.search(r":(latest)?$", container["image"]) and ":" in container["image"]


@pytest.mark.parametrize("name", PODS)
def test_the_name_of_a_service_changes_no_setting(name: str) -> None:
    """Kubernetes would tell a pod of the service "gantry" as GANTRY_PORT=tcp://ADDRESS:80."""
    assert PODS[name]["spec"]["enableServiceLinks"] is False


@pytest.mark.parametrize("name", ["gantry-web", "gantry-runner"])
def test_a_server_has_time_to_stop_and_is_looked_after(name: str) -> None:
    spec = PODS[name]["spec"]
    (container,) = spec["containers"]
    assert spec["terminationGracePeriodSeconds"] > server._END_SECONDS
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"  # a database that is away kills nobody
    budget = find("PodDisruptionBudget", name)["spec"]
    assert budget["selector"]["matchLabels"].items() <= PODS[name]["metadata"]["labels"].items()
    replicas = find("Deployment", name)["spec"]["replicas"]
    assert budget.get("minAvailable", 0) < replicas


def test_commands_are_those_of_their_roles() -> None:
    commands = {name: pod["spec"]["containers"][0]["args"] for name, pod in PODS.items()}
    expected = {"gantry-web": ["serve", "--no-runner"], "gantry-runner": ["run"], "gantry-migrate": ["migrate"]}
    assert commands == expected


def test_the_service_leads_to_replicas_alone() -> None:
    selector = find("Service", "gantry")["spec"]["selector"]
    reached = [name for name, pod in PODS.items() if selector.items() <= pod["metadata"]["labels"].items()]
    assert reached == ["gantry-web"]


def test_settings_and_secrets_are_accepted_together(tmp_path: Path) -> None:
    text = find("ConfigMap", "gantry")["data"]["gantry.toml"]
    secrets = find("Secret", "gantry")["stringData"]
    config = tmp_path / "gantry.toml"
    config.write_text(text)
    environ = secrets | {"GANTRY_DATA": str(tmp_path / "data"), "GANTRY_HOST": "0.0.0.0"}
    settings = load_settings({}, environ, str(config))
    assert settings.shares and settings.auth == "required" and settings.trusted_proxies
    assert not set(secrets) & set(tomllib.loads(text))
    assert all("REPLACE_ME" in value for value in secrets.values())
    used = {key for each in PODS.values() for key in _list_names(each["spec"]["containers"][0])}
    assert used == {"gantry"}


def _list_names(container: dict[str, Any]) -> Iterator[str]:
    for each in container["envFrom"]:
        yield each["secretRef"]["name"]


def test_workers_of_an_engine_reach_its_scheduler_and_leave_in_time() -> None:
    spec = ENGINE_PODS["gantry-worker"]["spec"]
    (container,) = spec["containers"]
    environ = {each["name"]: each.get("value", "") for each in container["env"]}
    (service,) = [each for each in ENGINE if each["kind"] == "Service"]
    (port,) = service["spec"]["ports"]
    engine = parse_engine(environ["GANTRY_EXECUTOR"])
    assert engine is not None
    assert (engine.host, engine.port) == (service["metadata"]["name"], port["port"])
    assert service["spec"]["selector"].items() <= ENGINE_PODS["gantry-scheduler"]["metadata"]["labels"].items()
    assert container["args"][0] == "worker" and "GANTRY_DATABASE" not in environ and "envFrom" not in container
    assert spec["terminationGracePeriodSeconds"] > LEAVE_SECONDS + 3


def test_nobody_else_reaches_an_engine() -> None:
    (policy,) = [each["spec"] for each in ENGINE if each["kind"] == "NetworkPolicy"]
    names, components = (each["values"] for each in policy["podSelector"]["matchExpressions"])
    assert (names, policy["policyTypes"]) == (["gantry"], ["Ingress"])
    covered = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in ENGINE_PODS.values()}
    assert covered == set(components)
