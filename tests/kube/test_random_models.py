"""Random models: the API server accepts every object of a model that `validate` accepts.

Each refusal by the server is a check that `validate` lacks. `tests/random_models` says what is
drawn: settings, patches, further objects, candidates and the overlay of an environment. The plan is
that of `make validate`, made in this process; the server answers by dry runs with strict field
validation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient
from framework.plan import LoadedPlan, ModelPlan
from tests.plan.small_catalog import PROD, check, write_files
from tests.random_models import RandomModel, draw_models

# Models that the plan refuses are no use here; this many of a hundred are accepted at least.
_FEWEST_ACCEPTED = 35
# Refusals that depend on the cluster, which `validate` does not know.
_OF_THIS_CLUSTER = "not configured (on this cluster|for dual-stack)|is not in the valid range"
# The server needs most of the time, and answers several requests at once.
_REQUESTS_AT_ONCE = 4


def _plan(root: Path, namespace: str, models: list[RandomModel]) -> LoadedPlan:
    files = {PROD: f"namespace: {namespace}\ncluster: {{kubernetesVersion: '1.37'}}\n"}
    for number, drawn in enumerate(models):
        files[f"catalog/m{number}.yaml"] = _write(drawn.model)
        if drawn.overlay:
            files[f"environments/prod/models/m{number}.yaml"] = _write(drawn.overlay)
    return check(write_files(root, files))


def _write(content: dict[str, Any]) -> str:
    return str(yaml.dump(content, Dumper=yaml.CSafeDumper, allow_unicode=True))


def _list_accepted(loaded: LoadedPlan) -> Iterator[ModelPlan]:
    refused = {error.model for error in loaded.errors}
    refused |= {re.sub(r".*/(.+)\.yaml", r"\1", error.path) for error in loaded.errors}
    assert loaded.plan is not None
    return (model for model in loaded.plan.models if model.name not in refused)


def _find_refusals(kube: KubeClient, model: ModelPlan) -> list[str]:
    refusals = []
    for manifest in model.manifests:
        try:
            kube.apply(manifest.object, manager="tests", force=True, dry_run=True)
        except ApiError as exc:
            if re.search(_OF_THIS_CLUSTER, str(exc)):
                continue
            refusals.append(f"{manifest.kind}: {str(exc)[:500]}")
    return refusals


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("seed", "count"),
    [
        pytest.param(1, 200, id="200"),
        *(pytest.param(n, 500, id=f"500 {n}", marks=pytest.mark.grid) for n in range(2, 12)),
    ],
)
def test_the_server_accepts_what_validate_accepts(
    seed: int, count: int, kube: KubeClient, namespace: str, tmp_path: Path
) -> None:
    models = draw_models(count, seed)
    accepted = [*_list_accepted(_plan(tmp_path, namespace, models))]
    assert len(accepted) * 100 >= count * _FEWEST_ACCEPTED
    with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
        answers = pool.map(lambda model: _find_refusals(kube, model), accepted)
    refused = {
        _write(vars(models[int(model.name.removeprefix("m"))]))[:2000]: refusals
        for model, refusals in zip(accepted, answers, strict=True)
        if refusals and model.name.startswith("m")
    }
    assert refused == {}
