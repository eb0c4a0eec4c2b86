"""Random models: the API server accepts every object of a model that `validate` accepts.

Each refusal by the server is a check that `validate` lacks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient
from framework.plan import LoadedPlan, ModelPlan
from tests.plan.small_catalog import PROD, check, write_files
from tests.random_models import draw_models

# Models that the plan refuses are no use here; this many of a hundred are accepted at least.
_FEWEST_ACCEPTED = 25


def _plan(root: Path, namespace: str, models: list[dict[str, Any]]) -> LoadedPlan:
    files = {
        f"catalog/m{number}.yaml": yaml.dump(model, Dumper=yaml.CSafeDumper, allow_unicode=True)
        for number, model in enumerate(models)
    }
    environment = f"namespace: {namespace}\ncluster: {{kubernetesVersion: '1.37'}}\n"
    return check(write_files(root, {PROD: environment, **files}))


def _list_accepted(loaded: LoadedPlan) -> Iterator[ModelPlan]:
    refused = {error.model for error in loaded.errors}
    refused |= {re.sub(r".*/(.+)\.yaml", r"\1", error.path) for error in loaded.errors}
    assert loaded.plan is not None
    return (model for model in loaded.plan.models if model.name not in refused)


def _find_refusals(kube: KubeClient, model: ModelPlan) -> Iterator[str]:
    for manifest in model.manifests:
        try:
            kube.apply(manifest.object, manager="tests", force=True, dry_run=True)
        except ApiError as exc:
            yield f"{manifest.kind}: {str(exc)[:500]}"


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("start", "count"),
    [
        pytest.param(1, 300, id="300"),
        *(pytest.param(n, 500, id=f"500 {n}", marks=pytest.mark.grid) for n in range(2, 12)),
    ],
)
def test_the_server_accepts_what_validate_accepts(
    start: int, count: int, kube: KubeClient, namespace: str, tmp_path: Path
) -> None:
    models = draw_models(count, start)
    accepted = [*_list_accepted(_plan(tmp_path, namespace, models))]
    assert len(accepted) * 100 >= count * _FEWEST_ACCEPTED
    refused = {
        yaml.dump(models[int(model.name.removeprefix("m"))])[:2000]: refusals
        for model in accepted
        if model.name.startswith("m") and (refusals := [*_find_refusals(kube, model)])
    }
    assert refused == {}
