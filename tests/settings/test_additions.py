"""The reference page lists all that a model gets without a setting, and how to get rid of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from framework.core.field_paths import walk
from framework.settings.additions import ADDITIONS, AddedFields
from framework.settings.reference import render_reference
from tests.plan.small_catalog import check, write_files

MODEL = (
    "owner: team-a\nimage: {repository: r.io/a/server, tag: v1}\nports: {http: 8080}\n"
    "probes: {readiness: {httpGet: {path: /}}}\n"
)
# What the model of MODEL sets itself, what no Deployment can be without, and values that are the
# default of Kubernetes.
_EXPECTED = (
    "apiVersion", "kind", "metadata", "spec.replicas", "spec.selector", "spec.template.metadata",
    "spec.strategy.type", "spec.strategy.rollingUpdate.maxSurge", "spec.minReadySeconds",
    "spec.progressDeadlineSeconds", "spec.template.spec.terminationGracePeriodSeconds",
    "spec.template.spec.serviceAccountName", "spec.template.spec.containers[model].name",
    "spec.template.spec.containers[model].image", "spec.template.spec.containers[model].ports",
    *(
        f"spec.template.spec.containers[model].readinessProbe.{name}"
        for name in (
            "httpGet", "initialDelaySeconds", "periodSeconds", "failureThreshold",
            "successThreshold",
        )
    ),
)  # fmt: skip


def _render(root: Path, own: str = "") -> dict[str, Any]:
    """Returns every rendered field by its kind and path: `Deployment.spec.replicas`."""
    files = {"catalog/_defaults.yaml": MODEL, "catalog/a.yaml": own or "enabled: true\n"}
    loaded = check(write_files(root, {**files, "catalog/b.yaml": "enabled: false\n"}))
    assert [error.message for error in loaded.errors] == []
    assert loaded.plan
    return dict(_fields(loaded.plan.models[0].manifests))


def _fields(manifests: Any) -> Iterator[tuple[str, Any]]:
    for manifest in manifests:
        for path, value in walk(manifest.object):
            yield f"{manifest.kind}.{path}", value


def _is_within(field: str, parents: tuple[str, ...]) -> bool:
    return any(
        field == parent or field.startswith((f"{parent}.", f"{parent}[")) for parent in parents
    )


def test_a_model_gets_nothing_that_the_page_does_not_list(tmp_path: Path) -> None:
    listed = tuple(field for addition in ADDITIONS for field in addition.fields)
    expected = tuple(f"Deployment.{field}" for field in _EXPECTED)
    parents = (*listed, *expected)
    unexpected = {
        field
        for field, value in _render(tmp_path).items()
        if not _is_within(field, parents) and not isinstance(value, dict | list)
    }
    assert unexpected == set()


@pytest.mark.parametrize("addition", ADDITIONS, ids=[addition.without for addition in ADDITIONS])
def test_one_setting_takes_an_addition_away(addition: AddedFields, tmp_path: Path) -> None:
    before = _render(tmp_path)
    after = _render(tmp_path, f"{addition.without}\n")
    for field in addition.fields:
        own = [path for path in before if _is_within(path, (field,))]
        assert own, f"{field} is not rendered"
        assert all(before[path] != after.get(path) for path in own), field


def test_the_page_lists_the_additions() -> None:
    page = render_reference()
    assert all(f"`{addition.without}`" in page for addition in ADDITIONS)
