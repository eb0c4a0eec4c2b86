"""Compares rendered manifests with their golden files: every shipped environment, every kind."""

from __future__ import annotations

import pytest

from tools.write_golden import ENVIRONMENTS, FOLDER, render_environment, render_kinds


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_render_equals_the_golden_file(environment: str) -> None:
    golden = (FOLDER / f"{environment}.yaml").read_text()
    assert render_environment(environment) == golden, "run `make golden` and review the diff"


def test_every_kind_renders_as_its_golden_file() -> None:
    for path, text in render_kinds().items():
        assert text, f"tests/golden/kinds/_model.yaml has no object of {path.stem}"
        assert text == path.read_text(), f"{path.name}: run `make golden` and review the diff"
