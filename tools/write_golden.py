"""Writes the golden files: the rendered manifests of every shipped environment.

`make golden` runs this. Review the result as a diff.
"""

from __future__ import annotations

from pathlib import Path

from framework.output.manifests import render_manifests
from framework.plan import load_plan
from tests.shipped import SHIPPED

FOLDER = Path(__file__).resolve().parents[1] / "tests/golden"


def render_environment(environment: str) -> str:
    """Returns the manifests of one shipped environment, as `make render` prints them."""
    return render_manifests(
        [manifest.object for manifest in load_plan(SHIPPED, environment).manifests]
    )


if __name__ == "__main__":
    for environment in ("dev", "staging", "prod"):
        (FOLDER / f"{environment}.yaml").write_text(render_environment(environment))
