"""Compares the rendered manifests of each shipped environment with its golden file."""

from __future__ import annotations

import pytest

from tools.write_golden import FOLDER, render_environment


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_render_equals_the_golden_file(environment: str) -> None:
    golden = (FOLDER / f"{environment}.yaml").read_text()
    assert render_environment(environment) == golden, "run `make golden` and review the diff"
