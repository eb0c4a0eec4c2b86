"""Names and forms from Kubernetes, Helm and Compose: each error names the setting to use."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from framework.settings.container import Image, Resources
from framework.settings.foreign_names import _SETTINGS
from framework.settings.locations import setting_names
from framework.settings.model import Model
from framework.settings.networking import Ingress, NetworkPolicy, Service
from framework.settings.pod import Scheduling, ServiceAccount
from framework.settings.probes import Probe, Probes
from framework.settings.scaling import Autoscaling, DisruptionBudget, Rollout
from framework.settings.volumes import Volume
from tests.plan.small_catalog import check, write_files

CLASSES: list[type[BaseModel]] = [
    Autoscaling, DisruptionBudget, Image, Ingress, Model, NetworkPolicy, Probe, Resources, Rollout,
    Service, ServiceAccount, Volume,
]  # fmt: skip
# The class of a setting of a model that has settings below.
BELOW: dict[str, type[BaseModel]] = {
    "image": Image, "probes": Probes, "resources": Resources, "rollout": Rollout,
    "scheduling": Scheduling, "serviceAccount": ServiceAccount,
}  # fmt: skip


@pytest.mark.parametrize(
    ("owner", "key"), [(owner, key) for owner, keys in _SETTINGS.items() for key in keys]
)
def test_a_remedy_names_settings_that_exist(owner: str, key: str) -> None:
    names = setting_names(next(cls for cls in CLASSES if cls.__name__ == owner))
    assert key not in names
    for path in re.findall(r"(?:use|and|or) ([a-z]\w+(?:\.\w+)?)", _SETTINGS[owner][key]):
        first, _, rest = path.partition(".")
        if first in ("null", "the", "setting", "makes", "mountPath", "profiles"):
            continue
        assert first in (*names, *setting_names(Model))
        if rest and first in BELOW and owner == "Model":
            assert rest in (*setting_names(BELOW[first]), "cpu", "memory")


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (
            "nodeSelector: {gpu: a10}",
            '"nodeSelector" is not a setting of a model; use scheduling.n',
        ),
        ("livenessProbe: {}", "use probes.liveness"),
        ("imagePullSecrets: [{name: x}]", "use image.pullSecrets, a list of names"),
        ("strategy: {type: Recreate}", "use rollout.strategy"),
        ("apiVersion: apps/v1", "this is a manifest of Kubernetes: `make import FILE=...`"),
        ("sidecars: {s: {image: 'a:1', livenessProbe: {}}}", "use probes.liveness"),
        ("volumes: {v: {mountPath: /v, persistentVolumeClaim: {claimName: c}}}", "use claim"),
        ("probes: {readiness: {path: /health}}", "use httpGet.path"),
        (
            "autoscaling: {minReplicas: 4, maxReplicas: 5, targetCPUUtilizationPercentage: 80}",
            "use cpu",
        ),
        ("resources: {gpu: 1}", "use limits, as in {nvidia.com/gpu: 1}"),
        ('replicas: "3"', 'replicas is "3"; expected a whole number: remove the quotes'),
        ("services: {s: {ports: {a: nope}}}", "such as {port: 80, targetPort: http}, or 80"),
        ("maxReplicas: 4", "use autoscaling.maxReplicas"),
        ("namespace: ml", "the environment decides it, in its environment.yaml"),
        ("containers: [{name: a}]", "use sidecars, beside the container"),
        ("ports: [8080]", "; expected a mapping such as {http: 8080}"),
        ("volumes: [{name: v}]", "volumes is a list; expected a mapping such as {cache: "),
        ("resources: 2Gi", "; expected a mapping such as {requests: "),
        ("ports: {http: '8080:80'}", "expected a mapping such as {containerPort: 8080, "),
        ("env: [A=b]", "env is a list; expected a mapping such as {LOG_LEVEL: info}"),
        ("environment: {A: b}", "use env for variables of the container"),
        ("config: {files: {}}", "config.files is empty; expected at least one entry"),
    ],
)
def test_a_message_leads_to_the_setting(tmp_path: Path, own: str, message: str) -> None:
    errors = check(write_files(tmp_path, {"catalog/a.yaml": f"+{own}\n"})).errors
    messages = [error.message for error in errors]
    assert any(message in found for found in messages), messages


@pytest.mark.parametrize(
    ("reference", "settings"),
    [
        ("vllm/vllm-openai:v0.6.3", '{repository: vllm/vllm-openai, tag: "v0.6.3"}'),
        ("localhost:5000/a/b:1", '{repository: localhost:5000/a/b, tag: "1"}'),
        ("nginx", '{repository: nginx, tag: "..."}'),
        ("a/b@sha256:00", '{repository: a/b, digest: "sha256:00"}'),
    ],
)
def test_an_image_in_one_text_is_shown_as_settings(
    tmp_path: Path, reference: str, settings: str
) -> None:
    files = {
        "catalog/a.yaml": f"owner: t\nimage: {reference}\n",
        "catalog/_profiles/server.yaml": "replicas: 4\n",
    }
    [error, *_] = check(write_files(tmp_path, files)).errors
    assert error.message.endswith(f"expected a mapping such as {settings}")
