"""Names, routes and Namespaces that two models or environments claim."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from framework.core.diagnostics import Code, Position
from framework.plan.checks.facts import Claim, EnvironmentFacts, ModelFacts, check_stack
from tests.plan.small_catalog import PROD, check, check_all, list_diagnostics, write_files
from tests.shipped import SHIPPED

DEV = "environments/dev/environment.yaml"


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        pytest.param("{host: x.com}", "{host: x.com}", True, id="same host"),
        pytest.param("{host: x.com}", "{host: x.com, path: /}", True, id="the whole host"),
        pytest.param("{host: x.com, path: /a}", "{host: x.com, path: /a/}", True, id="same prefix"),
        pytest.param("{host: x.com, path: /a}", "{host: x.com, path: /ab}", False, id="two paths"),
        pytest.param("{host: x.com}", "{host: x.com, className: in}", False, id="two entry points"),
    ],
)
def test_a_route_belongs_to_one_model(tmp_path: Path, first: str, second: str, clash: bool) -> None:
    changes = {"catalog/a.yaml": f"+ingress: {first}\n", "catalog/b.yaml": f"+ingress: {second}\n"}
    diagnostics = check(write_files(tmp_path, changes)).errors
    assert list_diagnostics(diagnostics) == [("catalog/b.yaml:4:17", "MC402", "b")] * clash
    assert all('model "a" claims' in diagnostic.message for diagnostic in diagnostics)


def test_an_object_belongs_to_one_model() -> None:
    """Models have names of their own, so no two of them can claim one object in a real catalog."""
    home = Position("catalog/x.yaml", 1, 1)
    claim = Claim(Code.NAME_CLASH, ("apps", "Deployment", "ml", "a"), 'Deployment "a"', home)
    environment = EnvironmentFacts("prod", (), {}, {}, {})
    models = [ModelFacts(name, claims=(replace(claim),)) for name in ("a", "b")]
    [error] = check_stack(environment, models, complete=True, today=None).errors
    assert error.message == (
        'model "a" claims Deployment "a" too (catalog/x.yaml:1:1); rename one of the two'
    )
    assert (error.code, error.model) == (Code.NAME_CLASH, "b")


@pytest.mark.parametrize(
    ("a", "b", "position", "message"),
    [
        (
            "previousName: b\n", "", "catalog/b.yaml:1:1",
            'model "a" claims the name "b" too (catalog/a.yaml:4:15); previousName must name a '
            "model that is gone; remove one of the two",
        ),
        (
            "previousName: old\n", "previousName: old\n", "catalog/b.yaml:4:15",
            'model "a" claims the name "old" too (catalog/a.yaml:4:15); previousName must name a '
            "model that is gone; remove one of the two",
        ),
        (
            "previousName: a\n", "", "catalog/a.yaml:4:15",
            "previousName is the name that the model has now; remove it",
        ),
        ("previousName: old\n", "", "", ""),
        ("previousName: b\n", "enabled: false\n", "", ""),
    ],
    ids=["a model that exists", "twice", "itself", "a model that is gone", "a disabled model"],
)  # fmt: skip
def test_previous_name_belongs_to_one_model_that_is_gone(
    tmp_path: Path, a: str, b: str, position: str, message: str
) -> None:
    root = write_files(tmp_path, {"catalog/a.yaml": f"+{a}", "catalog/b.yaml": f"+{b}"})
    found = [(error.position, error.message) for error in check(root).errors]
    assert found == ([(position, message)] if position else [])


@pytest.mark.parametrize(
    ("dev", "clash"),
    [
        pytest.param("namespace: ml-prod\n", True, id="one namespace of one cluster"),
        pytest.param("namespace: ml-${stack.name}\n", False, id="interpolated"),
        pytest.param("namespace: ml-prod\ncluster: {context: other}\n", False, id="two clusters"),
        pytest.param("namespaces: ml-prod\n", False, id="an environment with errors is ignored"),
    ],
)
def test_a_namespace_belongs_to_one_environment(tmp_path: Path, dev: str, clash: bool) -> None:
    root = write_files(tmp_path, {DEV: dev})
    clashes = [error for error in check_all(root) if error.code is Code.NAME_CLASH]
    assert list_diagnostics(clashes) == [(f"{PROD}:1:12", "MC401", "")] * clash
    assert all('environment "dev"' in error.message for error in clashes)


@pytest.mark.parametrize(
    ("environments", "errors"),
    [
        pytest.param({"dev": "prod"}, {}, id="a chain"),
        pytest.param(
            {"dev": "prod", "prod": "dev"}, {"dev": "dev -> prod -> dev", "prod": "prod -> dev"},
            id="a cycle",
        ),
        pytest.param({"dev": "dev"}, {"dev": "dev -> dev"}, id="itself"),
        pytest.param({"dev": "pord"}, {"dev": 'did you mean "prod"'}, id="unknown"),
    ],
)  # fmt: skip
def test_a_promotion_order_has_an_end(
    tmp_path: Path, environments: dict[str, str], errors: dict[str, str]
) -> None:
    changes = {
        f"environments/{name}/environment.yaml": f"+promotesTo: {target}\n"
        for name, target in environments.items()
    }
    found = [d for d in check_all(write_files(tmp_path, changes)) if d.code is Code.PROMOTION]
    assert [d.position for d in found] == [
        f"environments/{name}/environment.yaml:2:13" for name in errors
    ]
    assert all(text in d.message for d, text in zip(found, errors.values(), strict=True))


def test_the_shipped_environments_share_no_namespace() -> None:
    assert check_all(SHIPPED) == ()
