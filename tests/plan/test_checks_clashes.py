"""One name, one route, one Namespace: claimed once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from framework.catalog import read_catalog
from framework.plan.checks import check_model, find_environment_clashes, find_shared_diagnostics
from framework.plan.stack import build_model
from tests.plan.small_catalog import FILES, PROD, check, told, write_files
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
    diagnostics = check(write_files(tmp_path, changes)).diagnostics
    assert told(diagnostics) == [("catalog/b.yaml:4:17", "MC402", "b")] * clash
    assert all('model "a" claims' in diagnostic.message for diagnostic in diagnostics)


def test_an_object_belongs_to_one_model(tmp_path: Path) -> None:
    """Names keep models apart today, so that one is made up here."""
    catalog = read_catalog(write_files(tmp_path, {}), "prod")
    first, second = catalog.models
    plan = build_model(first, catalog.environment)
    facts = [check_model(model, plan, catalog)[1] for model in (first, replace(second, name="b"))]
    found = find_shared_diagnostics(facts, catalog)
    message = 'model "a" claims Deployment "a" too (catalog/a.yaml:1:1); rename one of the two'
    assert message in [diagnostic.message for diagnostic in found]
    assert {diagnostic.code.value for diagnostic in found} == {"MC401"}


@pytest.mark.parametrize(
    ("dev", "clash"),
    [
        pytest.param("namespace: ml-prod\n", True, id="one namespace of one cluster"),
        pytest.param("namespace: ml-${stack.name}\n", False, id="interpolated"),
        pytest.param("namespace: ml-prod\ncluster: {context: other}\n", False, id="two clusters"),
        pytest.param(
            "namespaces: ml-prod\n", False, id="an environment with faults is passed over"
        ),
    ],
)
def test_a_namespace_belongs_to_one_environment(tmp_path: Path, dev: str, clash: bool) -> None:
    diagnostics = find_environment_clashes(
        write_files(tmp_path, {DEV: dev, "catalog/a.yaml": "x: [\n"})
    )
    assert told(diagnostics) == [(f"{PROD}:1:12", "MC401", "")] * clash
    assert all('environment "dev"' in diagnostic.message for diagnostic in diagnostics)


def test_the_shipped_environments_are_apart() -> None:
    assert find_environment_clashes(SHIPPED) == []
    assert FILES[DEV] != FILES[PROD]
