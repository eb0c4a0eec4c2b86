"""Random models, with all that a model may consist of.

Each begins as a valid model of three lines. One or two parts are drawn for it:

    settings   one to three, from the settings classes (settings.py)
    patch      of an object that the model has, from the fields of Kubernetes (fields.py)
    objects    a further object of any kind: a valid one with a few fields changed (objects.py)
    canary     a candidate that overrides a setting or two, or patches the Deployment
    overlay    the file of an environment, which overrides or removes settings

Most values are valid, and some lie at a border or beyond it (pools.py): so `validate` accepts many
models, and refuses the others for one reason or two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from framework.kinds.kind import PROTECTED_EVERYWHERE
from framework.kinds.registry import find_kind
from tests.random_models.chooser import Chooser
from tests.random_models.fields import Fields
from tests.random_models.objects import OBJECTS
from tests.random_models.settings import DRAWN, DRAWN_FOR_CANDIDATES, Settings

Json = dict[str, Any]
BASE: Json = {"owner": "team-a", "profiles": ["server"], "image": {"tag": "v1"}}
# The setting that gives a model an object of a kind; a model always has the first three.
_ENABLED_BY = {
    "Deployment": "",
    "Service": "",
    "ServiceAccount": "",
    "HorizontalPodAutoscaler": "autoscaling",
    "Ingress": "ingress",
    "NetworkPolicy": "networkPolicy",
    "PodDisruptionBudget": "disruptionBudget",
}
# An object of these kinds belongs to a model of its own, or is not in the API of Kubernetes.
_NOT_IN_OBJECTS = {"Deployment"}


@dataclass(frozen=True)
class RandomModel:
    """The content of a model's file, and of its file in an environment."""

    model: Json
    overlay: Json


def draw_models(count: int, seed: int) -> list[RandomModel]:
    """Returns `count` random models, the same ones for the same seed."""
    return [draw_model(seed * 1_000_000 + number) for number in range(count)]


def draw_model(seed: int) -> RandomModel:
    """Draws one model with one or two parts."""
    choose = Chooser(seed)
    parts = choose.some_of(("settings", "settings", "patch", "objects", "canary", "overlay"), 2)
    model, overlay = dict(BASE), {}
    if "settings" in parts:
        model |= Settings(choose).some(DRAWN, 3)
    if "patch" in parts:
        model["patch"] = _draw_patch(choose, _list_kinds(model))
    if "objects" in parts:
        model["objects"] = {"x": _draw_object(choose)}
    if "canary" in parts:
        model["canary"] = _draw_canary(choose)
    if "overlay" in parts:
        overlay = _draw_overlay(choose, model)
    return RandomModel(model, overlay)


def _list_kinds(model: Json) -> list[str]:
    return [kind for kind, name in _ENABLED_BY.items() if not name or name in model]


def _draw_patch(choose: Chooser, kinds: list[str]) -> Json:
    kind = choose.any_of(kinds)
    found = find_kind(kind)
    assert found is not None
    protected = frozenset(path.replace("[model]", "") for path in found.protected)
    return {kind: Fields(choose).patch(kind, protected | PROTECTED_EVERYWHERE.keys())}


def _draw_object(choose: Chooser) -> Json:
    return Fields(choose).object(choose.any_of(sorted(OBJECTS.keys() - _NOT_IN_OBJECTS)))


def _draw_canary(choose: Chooser) -> Json:
    candidate: Json = {"image": {"tag": "v2"}}
    if choose.chance(60):
        candidate |= Settings(choose).some(DRAWN_FOR_CANDIDATES, 2)
    if choose.chance(30):
        candidate["patch"] = _draw_patch(choose, ["Deployment"])
    return {
        "size": choose.pick([1, "25%", "10%", 0, "100%", 3]),
        "mode": choose.any_of(("additional", "within")),
        "candidate": candidate,
    }


def _draw_overlay(choose: Chooser, model: Json) -> Json:
    removed = [name for name in model if name not in BASE and choose.chance(20)]
    overlay = {**Settings(choose).some(DRAWN, 2), **dict.fromkeys(removed)}
    if "patch" in model and choose.chance(50):
        overlay["patch"] = _draw_patch(choose, _list_kinds(model))
    return overlay
