"""A catalog of two small, sound models and two environments, for tests to change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

from framework.catalog import read_catalog
from framework.core.diagnostics import Diagnostic
from framework.plan.stack import CheckedCatalog, check_catalog

PROD = "environments/prod/environment.yaml"
FILES = {
    "catalog/_defaults.yaml": (
        "ports: {http: 8080}\nreplicas: 4\n"
        "resources: {requests: {cpu: 500m, memory: 1Gi}, limits: {memory: 1Gi}}\n"
        "probes: {readiness: {httpGet: {path: /}}}\n"
    ),
    "catalog/_profiles/server.yaml": "image: {repository: ghcr.io/acme/server}\n",
    "catalog/a.yaml": "owner: team-a\nprofiles: [server]\nimage: {tag: v1}\n",
    "catalog/b.yaml": "owner: team-b\nprofiles: [server]\nimage: {tag: v1}\n",
    "environments/dev/environment.yaml": "namespace: ml-dev\n",
    PROD: "namespace: ml-prod\n",
}


def write_files(root: Path, changes: Mapping[str, str]) -> Path:
    """Writes FILES with changes; text that begins with "+" is put after what there is."""
    for path in {**FILES, **changes}:
        text = changes.get(path, FILES.get(path, ""))
        if text.startswith("+"):
            text = FILES.get(path, "") + text[1:]
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def check(root: Path, environment: str = "prod", today: date | None = None) -> CheckedCatalog:
    """Every check of one environment; what is sound in spite of faults is checked too."""
    return check_catalog(read_catalog(root, environment), today=today)


def told(diagnostics: tuple[Diagnostic, ...] | list[Diagnostic]) -> list[tuple[str, str, str]]:
    """Place, code and model of each fault, sorted."""
    return sorted(
        (diagnostic.position, diagnostic.code.value, diagnostic.model) for diagnostic in diagnostics
    )
