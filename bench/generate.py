"""Generates catalogs of any size, with one Deployment and one Service per model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.shipped import copy_shipped

_DEFAULTS = """\
replicas: 2
rollout: {maxSurge: 1, maxUnavailable: 0, progressDeadlineSeconds: 600}
serviceAccount: {name: default}
"""
_PROFILE = """\
image: {repository: docker.io/seldonio/mlserver}
ports: {http: 8080, grpc: 8081}
startupSeconds: 100
resources:
  requests: {cpu: 500m, memory: 1Gi}
  limits: {memory: 1Gi}
probes:
  readiness: {httpGet: {path: /v2/health/ready}}
  liveness: {httpGet: {path: /v2/health/live}}
"""
_MODEL = """\
owner: team-bench
profiles: [server]
image: {{tag: "{tag}"}}
env: {{MODEL: "{name}"}}
"""
_ENVIRONMENT = """\
namespace: {namespace}
cluster: {{context: local}}
"""


def write_catalog(
    root: Path,
    models: int,
    namespace: str,
    tag: str = "v1",
    environments: Sequence[str] = ("dev",),
) -> None:
    """Writes a project with `models` models and these environments to `root`."""
    copy_shipped(root, "framework", "tools", "Pulumi.yaml", "__main__.py")
    (root / ".state").mkdir(exist_ok=True)
    write_file(root / "catalog/_defaults.yaml", _DEFAULTS)
    write_file(root / "catalog/_profiles/server.yaml", _PROFILE)
    for environment in environments:
        suffix = "" if len(environments) == 1 else f"-{environment}"
        path = root / "environments" / environment / "environment.yaml"
        write_file(path, _ENVIRONMENT.format(namespace=f"{namespace}{suffix}"))
    for number in range(models):
        name = f"model-{number:04d}"
        write_file(root / f"catalog/{name}.yaml", _MODEL.format(name=name, tag=tag))


def write_file(path: Path, text: str) -> None:
    """Writes a file, and creates its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
