"""Random objects: `validate` refuses exactly those that the API server refuses.

The objects are those of the setting `objects`, of every kind that a model may have; patched objects
are checked by the same rules. Only the fields are checked here, so a hundred objects take less time
than one model takes in test_random_models.py.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml

from framework.core.field_paths import FieldPath
from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient
from framework.plan.patch.field_checks import find_definition_diagnostics
from framework.settings.messages import show
from tests.random_models.annotations import ANNOTATED, annotate
from tests.random_models.chooser import Chooser
from tests.random_models.fields import Fields
from tests.random_models.objects import OBJECTS

Json = dict[str, Any]
# The server needs most of the time, and answers several requests at once.
_REQUESTS_AT_ONCE = 4
# Refusals that depend on the cluster, which `validate` does not know.
_OF_THIS_CLUSTER = re.compile(
    "not configured (on this cluster|for dual-stack)|is not in the valid range|already allocated"
)
# What the server accepts and `validate` refuses on purpose, with the reason.
_STRICTER = {
    "the server drops it without a word": (
        r"dataSource(Ref)?\b",
        "sessionAffinityConfig",
        r"rollingUpdate\.max",
        "selector is written by the server",
        r"stopSignal needs os\.name|evictionResponders",
        r"protocol: HTTP2|protocol is HTTP2",
        "lacks limits",
    ),
    "it writes another value over it, which the CLI would report as a change": (
        r"RoleBinding (subjects\[\d\]|roleRef)\.apiGroup is \"\";",
    ),
    "it accepts the template, and refuses its Pods or Jobs": (
        r"template\.metadata|jobTemplate\.metadata",
        r"(LimitRange|ResourceQuota) .*expected a whole number",
        r"StatefulSet .*subdomain|StatefulSet .*hostname",
    ),
    "the node refuses the Pod": (r"emptyDir\.medium", r"imagePullSecrets\[\d\]\.name"),
    "an apply cuts the number to 32 bits": ("that is not so large", r" is \d{10,};"),
    "nobody means this amount": ("did you mean", "resources.* whole devices"),
    "nothing is called so": (r"metadata\.finalizers", r"ServiceAccount secrets\[\d\] has no name"),
}


def _draw(seed: int) -> Json:
    choose = Chooser(seed)
    return _name(Fields(choose).object(choose.any_of(sorted(OBJECTS))))


def _name(drawn: Json) -> Json:
    return {**drawn, "metadata": {**drawn.get("metadata", {}), "name": "a", "namespace": "default"}}


def _list_problems(obj: Json) -> list[str]:
    kind = obj["kind"]
    problems = find_definition_diagnostics(kind, obj, show)
    return [f"{kind} {FieldPath(p.path)} {p.message}" for p in problems]


def _ask(kube: KubeClient, obj: Json) -> str | None:
    """Returns why the server refuses an object; None if it refuses only on this cluster.

    Then the server has not validated the rest of the object: it allocates addresses first.
    """
    try:
        kube.apply(obj, manager="tests", force=True, dry_run=True)
    except ApiError as exc:
        return None if _OF_THIS_CLUSTER.search(str(exc)) else str(exc)
    return ""


def _is_deliberate(problem: str) -> bool:
    return any(re.search(text, problem) for texts in _STRICTER.values() for text in texts)


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("seed", "count"),
    [
        pytest.param(1, 400, id="400"),
        *(pytest.param(n, 1000, id=f"1000 {n}", marks=pytest.mark.grid) for n in range(2, 12)),
    ],
)
def test_validate_refuses_exactly_what_the_server_refuses(
    seed: int, count: int, kube: KubeClient
) -> None:
    objects = [_draw(seed * 1_000_000 + number) for number in range(count)]
    problems = [_list_problems(obj) for obj in objects]
    with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
        refusals = [*pool.map(lambda obj: _ask(kube, obj), objects)]
    missing, too_strict = {}, {}
    for obj, own, refusal in zip(objects, problems, refusals, strict=True):
        text = yaml.safe_dump(obj)[:1500]
        if refusal and not own:
            missing[text] = refusal[:500]
        elif refusal == "" and not all(map(_is_deliberate, own)):
            too_strict[text] = own
    assert sum(not own for own in problems) * 100 >= count * 30
    assert (missing, too_strict) == ({}, {})


@pytest.mark.cluster
def test_validate_knows_which_annotations_the_server_refuses(kube: KubeClient) -> None:
    for kind, written, fields, words in ANNOTATED:
        refusal = _ask(kube, _name(annotate(kind, written, fields)))
        assert bool(refusal) == bool(words), (written, refusal)
