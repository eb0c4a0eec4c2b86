"""Golden renders: a change of any manifest shows as a diff, environment by environment."""

from __future__ import annotations

import pytest

from tests.golden.write import FOLDER, render_environment


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_render_is_as_reviewed(environment: str) -> None:
    golden = (FOLDER / f"{environment}.yaml").read_text()
    assert render_environment(environment) == golden, "review, then `make golden`"
