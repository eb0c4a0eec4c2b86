"""Diagnostics: order, duplicates and the models that they name."""

from __future__ import annotations

import pytest

from framework.core.diagnostics import (
    Code,
    Diagnostic,
    distinct_diagnostics,
    group_diagnostics,
)


def _diagnostic(path: str, model: str = "") -> Diagnostic:
    return Diagnostic(path, 2, 1, Code.BAD_VALUE, "x is 5", model)


@pytest.mark.parametrize(
    ("path", "models", "end"),
    [
        pytest.param("catalog/_profiles/cpu.yaml", ["a", "b"], " (in a, b)", id="shared file"),
        pytest.param("catalog/a.yaml", ["a"], "", id="own file"),
        pytest.param("environments/prod/models/a.yaml", ["a"], "", id="own overlay"),
        pytest.param("environments/prod/environment.yaml", ["a"], " (in a)", id="environment"),
        pytest.param("catalog/_profiles/a.yaml", ["a"], " (in a)", id="profile of that name"),
    ],
)
def test_group_names_the_models_of_other_files(path: str, models: list[str], end: str) -> None:
    [group] = group_diagnostics(_diagnostic(path, model) for model in models)
    assert str(group) == f"{path}:2:1  MC104  x is 5{end}"
    assert group.models == tuple(models)


def test_distinct_diagnostics_prefer_the_one_with_a_model() -> None:
    shared, own = _diagnostic("catalog/_profiles/a.yaml"), _diagnostic("catalog/b.yaml")
    with_model = _diagnostic("catalog/_profiles/a.yaml", "m")
    assert distinct_diagnostics([own, shared, with_model, own]) == (with_model, own)
