"""The manifests for a cluster: valid by the schemas of Kubernetes, and of one piece with each other and the command."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from conftest import ROOT

from harness.commands.cli_load import run
from harness.plan_file import read_plan

BASE = ROOT / "deploy" / "kubernetes"
AUTOSCALING = BASE / "components" / "autoscaling"
VERSIONS = ("1.28", "1.32")
Document = dict[str, Any]


def kustomization(folder: Path) -> Document:
    document: Document = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    return document


def resources(folder: Path) -> list[Document]:
    """Every document that a kustomization names, as its files have it."""
    names = kustomization(folder)["resources"]
    texts = [(folder / name).read_text(encoding="utf-8") for name in names]
    return [document for text in texts for document in yaml.safe_load_all(text)]


def pods() -> Iterator[tuple[Document, Document]]:
    """Every workload and its pod."""
    for document in resources(BASE):
        if "template" in document.get("spec", {}):
            yield document, document["spec"]["template"]["spec"]


def named(kind: str) -> set[str]:
    return {document["metadata"]["name"] for document in resources(BASE) if document["kind"] == kind}


def container(workload: str) -> Document:
    (found,) = [pod["containers"] for owner, pod in pods() if owner["metadata"]["name"] == workload]
    (only,) = found
    known: Document = only
    return known


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", [BASE, AUTOSCALING], ids=lambda folder: folder.name)
def test_every_document_is_valid_and_has_no_unknown_field(folder: Path, version: str) -> None:
    documents = resources(folder)
    assert documents
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)


def test_an_unknown_field_is_not_valid() -> None:
    (autoscaler,) = resources(AUTOSCALING)
    autoscaler["spec"]["minReplica"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(autoscaler, VERSIONS[0], strict=True)


def test_every_file_of_the_folder_is_named_and_exists() -> None:
    for folder in (BASE, AUTOSCALING):
        known = kustomization(folder)
        generated = [name for made in known.get("configMapGenerator", []) for name in made.get("files", [])]
        files = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
        assert {*known["resources"], *generated} == files


def test_what_a_pod_refers_to_exists() -> None:
    maps = {made["name"] for made in kustomization(BASE)["configMapGenerator"]}
    for _, pod in pods():
        volumes = {volume["name"] for volume in pod["volumes"]}
        for volume in pod["volumes"]:
            assert "configMap" not in volume or volume["configMap"]["name"] in maps
            claim = volume.get("persistentVolumeClaim")
            assert claim is None or claim["claimName"] in named("PersistentVolumeClaim")
        for each in pod["containers"]:
            assert {mount["name"] for mount in each["volumeMounts"]} == volumes
            for source in each.get("envFrom", []):
                assert source.get("configMapRef", {"name": "tokenswarm-size"})["name"] in maps
                assert source.get("secretRef", {"optional": True})["optional"], "keys come from outside"
    assert not named("Secret")


def test_selectors_select_and_services_have_the_ports_that_pods_name() -> None:
    workloads = list(pods())
    for owner, _ in workloads:
        labels = owner["spec"]["template"]["metadata"]["labels"]
        assert owner["spec"].get("selector", {"matchLabels": {}})["matchLabels"].items() <= labels.items()
    for service in (document for document in resources(BASE) if document["kind"] == "Service"):
        selected = [
            pod
            for owner, pod in workloads
            if service["spec"]["selector"].items() <= owner["spec"]["template"]["metadata"]["labels"].items()
        ]
        (pod,) = selected
        ports = {port["name"]: port["containerPort"] for each in pod["containers"] for port in each["ports"]}
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]


def test_the_master_expects_as_many_workers_as_there_are() -> None:
    literals = [line for made in kustomization(BASE)["configMapGenerator"] for line in made.get("literals", [])]
    size = dict(line.split("=") for line in literals)
    (replicas,) = [owner["spec"]["replicas"] for owner, _ in pods() if owner["metadata"]["name"] == "tokenswarm-worker"]
    words = [
        word.replace("$(EXPECT_WORKERS)", size["EXPECT_WORKERS"]) for word in container("tokenswarm-master")["args"]
    ]
    assert words[0] == "run"
    assert run.make_context("run", words[1:]).params["expect_workers"] == replicas


def test_workers_find_the_master_and_all_find_redis() -> None:
    words = list(container("tokenswarm-worker")["args"])
    assert words[0] == "run"
    asked = run.make_context("run", words[1:]).params
    (master,) = [document for document in resources(BASE) if document["metadata"]["name"] == asked["master_host"]][-1:]
    assert master["kind"] == "Service"
    assert {port["port"] for port in master["spec"]["ports"]} == {asked["master_port"], 8089}
    assert master["spec"]["publishNotReadyAddresses"], "between two repeats the master listens to nobody"
    for workload in ("tokenswarm-worker", "tokenswarm-master"):
        (url,) = [each["value"] for each in container(workload)["env"] if each["name"] == "TOKENSWARM_REDIS"]
        assert url.removeprefix("redis://").removesuffix(":6379") in named("Service")


def test_no_pod_has_a_right_that_it_does_not_need() -> None:
    for _, pod in pods():
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False, "they set variables that begin with TOKENSWARM_"
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        for each in pod["containers"]:
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert each["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "cpu" not in each["resources"]["limits"], "a throttled loop stamps late"
            assert "readinessProbe" in each


def test_the_plan_is_a_plan() -> None:
    assert read_plan(str(BASE / "plan.yaml"), (), None).repeats >= 3
    assert read_plan(str(ROOT / "deploy" / "plan.yaml"), (), None).repeats >= 3


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="wants kubectl, which has a kustomize in it")
def test_kustomize_builds_the_base_and_the_component(tmp_path: Path) -> None:
    shutil.copytree(BASE, tmp_path / "base")
    overlay = {"resources": ["../base"], "components": ["../base/components/autoscaling"]}
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay" / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    for folder in ("base", "overlay"):
        command = ["kubectl", "kustomize", str(tmp_path / folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        documents = list(yaml.safe_load_all(done.stdout))
        for document in documents:
            kubernetes_validate.validate(document, VERSIONS[1], strict=True)
            assert document["kind"] == "Namespace" or document["metadata"]["namespace"] == "tokenswarm"
        kinds = {document["kind"] for document in documents}
        assert ("HorizontalPodAutoscaler" in kinds) == (folder == "overlay")
