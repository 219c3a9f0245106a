"""The manifest for KubeRay: what the API server of a cluster would make of it, as schemas tell.

KubeRay's own fields have a schema beside this file; all else has that of Kubernetes, and strictly:
the API server drops an unknown field and goes on without it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

MANIFEST = Path(__file__).parents[2] / "examples" / "scale" / "kuberay.yaml"
SCHEMA = json.loads(Path(__file__).with_name("rayjob.schema.json").read_text("utf-8"))
GONE = object()
HEAD = "spec.rayClusterSpec.headGroupSpec"
WORKERS = "spec.rayClusterSpec.workerGroupSpecs.0"
POD = f"{WORKERS}.template.spec"


def documents() -> list[Any]:
    return list(yaml.safe_load_all(MANIFEST.read_text("utf-8")))


def job() -> Any:
    (found,) = (one for one in documents() if one["kind"] == "RayJob")
    return found


def groups(manifest: Any) -> list[Any]:
    """The head and each group of workers."""
    cluster = manifest["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def ordinary(document: Any) -> Iterator[Any]:
    """What Kubernetes itself knows of a document: all of it, or its pods and its metadata."""
    if document["kind"] != "RayJob":
        yield document
        return
    for group in groups(document):
        begin = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": document["metadata"]}
        yield begin | {"template": group["template"]}


def require_valid(document: Any) -> None:
    """Refuse what the API server would not take, or not wholly.

    Raises:
        jsonschema.ValidationError: A field is not known, of another type, or missing.
    """
    if document["kind"] == "RayJob":
        jsonschema.validate(document, SCHEMA)
    for one in ordinary(document):
        kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)


def spoiled(manifest: Any, place: str, value: object) -> Any:
    """A manifest with another value at a place, or with none."""
    manifest = deepcopy(manifest)
    *path, last = (int(step) if step.isdecimal() else step for step in place.split("."))
    inner = manifest
    for step in path:
        inner = inner[step]
    if value is GONE:
        del inner[last]
    else:
        inner[last] = value
    return manifest


def test_the_manifest_is_what_kuberay_and_kubernetes_take() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for document in documents():
        require_valid(document)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("metadata.generatedName", "mmflow-"),
        ("spec.entryPoint", "mmflow measure"),
        ("spec.ttlSecondsAfterFinished", "600"),
        ("spec.shutdownAfterJobFinishes", "yes"),
        ("spec.submissionMode", "Http"),
        ("spec.rayClusterSpec.enableAutoscaling", True),
        ("spec.rayClusterSpec.rayVersion", 2.6),
        ("spec.rayClusterSpec.autoscalerOptions", {"upscalingMode": "Fast"}),
        ("spec.rayClusterSpec.headGroupSpec", GONE),
        (f"{HEAD}.rayStartParams.num-cpus", 0),
        (f"{HEAD}.rayStartParams", GONE),
        (f"{HEAD}.replicas", 1),
        (f"{HEAD}.template.spec.containers", GONE),
        (f"{HEAD}.template.spec.containers.0.name", GONE),
        (f"{WORKERS}.groupName", GONE),
        (f"{WORKERS}.maxReplicas", "8"),
        (f"{WORKERS}.minReplica", 0),
        (f"{WORKERS}.template", GONE),
        (f"{POD}.volume", []),
        (f"{POD}.volumes.0.name", GONE),
        (f"{POD}.volumes.0.persistentVolumeClaim.claimName", 1),
        (f"{POD}.containers.0.image", 3),
        (f"{POD}.containers.0.resources.limit", {"cpu": "4"}),
        (f"{POD}.containers.0.resources.limits.cpu", ["4"]),
        (f"{POD}.containers.0.volumeMounts.0.mountPath", GONE),
    ],
)
def test_a_manifest_with_a_mistake_is_refused_for_that(place: str, value: object) -> None:
    with pytest.raises(jsonschema.ValidationError) as refused:
        require_valid(spoiled(job(), place, value))
    # An inner one of several that a value may be of.
    named = [*refused.value.absolute_path, *refused.value.message.split("'")]
    name = "upscalingMode" if "autoscaler" in place else place.rpartition(".")[2]
    assert name in named


def test_another_document_in_the_file_is_looked_at_too() -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "mmflow-data"},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Ti"}}},
    }
    require_valid(claim)
    with pytest.raises(jsonschema.ValidationError, match="accessMode"):
        require_valid(spoiled(claim, "spec.accessMode", "ReadWriteMany"))


def test_the_head_deals_and_workers_have_an_accelerator_each() -> None:
    head, *workers = groups(job())
    assert head["rayStartParams"]["num-cpus"] == "0"
    pods = [group["template"]["spec"] for group in (head, *workers)]
    for pod in pods[1:]:
        assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    for pod in pods:
        (volume,), (container,) = pod["volumes"], pod["containers"]
        assert volume["persistentVolumeClaim"]["claimName"] == "mmflow-data"
        assert container["volumeMounts"] == [{"name": "data", "mountPath": "/data"}]
