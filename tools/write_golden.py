"""Writes the golden files: the rendered manifests of every shipped environment.

`make golden` runs this. Review the result as a diff.
"""

from __future__ import annotations

from pathlib import Path

from framework.core.stack import Stack
from framework.output.manifests import render_manifests
from framework.plan import PlanStore
from tests.shipped import SHIPPED

FOLDER = Path(__file__).resolve().parents[1] / "tests/golden"


def render_environment(environment: str) -> str:
    """Returns the manifests of one shipped environment, as `make render` prints them."""
    plan = PlanStore(SHIPPED).load_one(Stack.of(environment)).require()
    return render_manifests([manifest.object for manifest in plan.manifests])


if __name__ == "__main__":
    for environment in ("dev", "staging", "prod"):
        (FOLDER / f"{environment}.yaml").write_text(render_environment(environment))
