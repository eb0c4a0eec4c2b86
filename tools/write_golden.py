"""Writes the golden files: manifests of every environment and every kind, and drift reports.

`make golden` runs this. Review the result as a diff.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from framework.core.stack import Stack
from framework.kinds.kind import Kind
from framework.kinds.registry import KINDS
from framework.output.manifests import render_manifests
from framework.plan import PlanStore
from tests.drift.golden_reports import write_golden as write_drift_reports
from tests.shipped import SHIPPED

FOLDER = Path(__file__).resolve().parents[1] / "tests/golden"
ENVIRONMENTS = ("dev", "staging", "prod")


def render_environment(environment: str) -> str:
    """Returns the manifests of one shipped environment, as `make render` prints them."""
    plan = PlanStore(SHIPPED).load_one(Stack.of(environment)).require()
    return render_manifests([manifest.object for manifest in plan.manifests])


def kind_file(kind: Kind) -> Path:
    """Returns the golden file of a kind, which has the name of the kind's module."""
    return FOLDER / "kinds" / f"{kind.build.__module__.rpartition('.')[2]}.yaml"


def render_kinds() -> dict[Path, str]:
    """Returns the text of each kind's golden file, rendered from tests/golden/kinds/_model.yaml."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "catalog").mkdir()
        (root / "environments/prod").mkdir(parents=True)
        model = (FOLDER / "kinds/_model.yaml").read_text()
        (root / "catalog/golden.yaml").write_text(model)
        environment = 'namespace: golden\ncluster: {kubernetesVersion: "1.34"}\n'
        (root / "environments/prod/environment.yaml").write_text(environment)
        (plan,) = PlanStore(root).load_one(Stack.of("prod")).require().models
    return {
        kind_file(kind): render_manifests([m.object for m in plan.manifests if m.kind == kind.name])
        for kind in KINDS
    }


if __name__ == "__main__":
    for environment in ENVIRONMENTS:
        (FOLDER / f"{environment}.yaml").write_text(render_environment(environment))
    for path, text in render_kinds().items():
        path.write_text(text)
    write_drift_reports()
