"""A catalog of two small, valid models and two environments, for tests to change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

from framework.core.diagnostics import Diagnostic
from framework.core.stack import Stack
from framework.files import list_environments
from framework.plan import LoadedPlan, ModelPlan, PlanStore
from framework.plan.cache import PlanCache

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

# This path can be neither read nor written, so nothing is cached.
NO_CACHE = PlanCache(Path("/dev/null/plans.sqlite"))


def write_files(root: Path, changes: Mapping[str, str]) -> Path:
    """Writes FILES with changes; text that begins with "+" is appended to the original file."""
    for path in {**FILES, **changes}:
        text = changes.get(path, FILES.get(path, ""))
        if text.startswith("+"):
            text = FILES.get(path, "") + text[1:]
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def check(root: Path, environment: str = "prod", today: date | None = None) -> LoadedPlan:
    """Loads the plan of one environment, with every check that users run."""
    store = PlanStore(root, today=today, cache=NO_CACHE, processes=1)
    return store.load_one(Stack.of(environment))


def check_all(root: Path, today: date | None = None) -> tuple[Diagnostic, ...]:
    """Returns every error and warning of all environments."""
    store = PlanStore(root, today=today, cache=NO_CACHE, processes=1)
    return store.check([*map(Stack.of, list_environments(root))])


def first_model(loaded: LoadedPlan) -> ModelPlan:
    """Returns the first model of a plan, even if the plan has errors."""
    assert loaded.plan is not None
    return loaded.plan.models[0]


def list_diagnostics(
    diagnostics: tuple[Diagnostic, ...] | list[Diagnostic],
) -> list[tuple[str, str, str]]:
    """Returns position, code and model of each diagnostic, sorted."""
    return sorted(
        (diagnostic.position, diagnostic.code.value, diagnostic.model) for diagnostic in diagnostics
    )
