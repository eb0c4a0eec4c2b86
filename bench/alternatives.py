"""Alternatives to this project that `make bench` measures.

They are an OmegaConf script, kustomize, `kubectl apply`, and a script for the Automation API.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bench.generate import write_file
from framework.builds.modules import load_module
from framework.builds.toolchain import find_go
from framework.core.user_cache import cache_directory

ROOT = Path(__file__).resolve().parents[1]
_MODULE = Path(__file__).with_name("kubectl")
_PACKAGE = "k8s.io/kubernetes/cmd/kubectl"

NAIVE = """
import sys
from pathlib import Path
from omegaconf import OmegaConf

root, environment = Path(sys.argv[1]), sys.argv[2]
own = OmegaConf.load(root / "environments" / environment / "environment.yaml")
for path in sorted((root / "catalog").glob("[!_]*.yaml")):
    model = OmegaConf.load(path)
    layers = [OmegaConf.load(root / "catalog/_defaults.yaml"), own.get("defaults", {})]
    layers += [OmegaConf.load(root / f"catalog/_profiles/{name}.yaml") for name in model.profiles]
    layers += [model, own.get("overrides", {})]
    OmegaConf.to_container(OmegaConf.merge(*layers), resolve=True)
"""

_DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: model}
spec:
  replicas: 2
  selector: {matchLabels: {app: model}}
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  template:
    metadata: {labels: {app: model}}
    spec:
      containers:
        - name: model
          image: docker.io/seldonio/mlserver:v1
          ports: [{name: http, containerPort: 8080}, {name: grpc, containerPort: 8081}]
          resources:
            requests: {cpu: 500m, memory: 1Gi}
            limits: {memory: 1Gi}
          readinessProbe: {httpGet: {path: /v2/health/ready, port: http}}
          livenessProbe: {httpGet: {path: /v2/health/live, port: http}}
"""
_SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: model}
spec: {selector: {app: model}, ports: [{name: http, port: 8080}, {name: grpc, port: 8081}]}
"""
_BASE = "resources: [deployment.yaml, service.yaml]\n"
_MODEL = """\
resources: [../../base]
namePrefix: {name}-
labels: [{{pairs: {{app: {name}}}, includeSelectors: true}}]
images: [{{name: docker.io/seldonio/mlserver, newTag: v1}}]
patches:
  - target: {{kind: Deployment}}
    patch: |
      - op: add
        path: /spec/template/spec/containers/0/env
        value: [{{name: MODEL, value: {name}}}]
"""


def naive_command(project: Path) -> list[str]:
    """Returns a command that merges and resolves `dev`, loading all layers for each model."""
    return [sys.executable, "-c", NAIVE, str(project), "dev"]


def build_kubectl() -> Path:
    """Returns the kubectl binary, which is built once per user. It contains kustomize."""
    binary = cache_directory() / "bench" / "kubectl"
    if not binary.exists():
        go = find_go(load_module(ROOT / "tools"), cache_directory(), lambda progress: None)
        binary.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
        command = [str(go), "build", "-o", str(binary), _PACKAGE]
        subprocess.run(command, cwd=_MODULE, env=environment, check=True)
    return binary


def write_kustomize_tree(root: Path, models: int) -> Path:
    """Writes an equivalent tree, one Deployment and Service per model; returns the overlay."""
    write_file(root / "base/deployment.yaml", _DEPLOYMENT)
    write_file(root / "base/service.yaml", _SERVICE)
    write_file(root / "base/kustomization.yaml", _BASE)
    names = [f"model-{number:04d}" for number in range(models)]
    for name in names:
        write_file(root / f"models/{name}/kustomization.yaml", _MODEL.format(name=name))
    resources = "".join(f"  - ../../models/{name}\n" for name in names)
    overlay = f"namespace: ml-dev\nresources:\n{resources}"
    write_file(root / "environments/dev/kustomization.yaml", overlay)
    return root / "environments/dev"


def pulumi_command(
    verb: str, kubeconfig: Path, manifests: Path, namespace: str, *, components: bool = False
) -> list[str]:
    """Returns the command that runs `bench/plain_pulumi.py`; its state is beside the manifests."""
    state = manifests.with_name(f"{manifests.stem}-state{'-components' if components else ''}")
    state.mkdir(exist_ok=True)
    arguments = [verb, str(kubeconfig), str(manifests), str(state), namespace]
    arguments += ["components"] if components else []
    return [sys.executable, str(Path(__file__).with_name("plain_pulumi.py")), *arguments]
