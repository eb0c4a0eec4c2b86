"""Lists the models of the catalog with owner, profiles, image, and replicas in each environment.

The list is built from plans. So models with cached plans are listed without loading their settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from framework.plan import ModelPlan, StackPlan


@dataclass(frozen=True)
class ListedTracks:
    """A model in one environment.

    `replicas` counts the stable Pods. With an autoscaler it is the minimum, and `max_replicas` the
    maximum. `canary` counts the Pods of the canary, 0 if there is none.
    """

    owner: str
    image: str
    replicas: int
    max_replicas: int | None
    canary: int


@dataclass(frozen=True)
class ListedModel:
    """One model. An environment in which it does not run maps to None.

    There is one owner, unless an overlay sets another one; none if the model runs nowhere.
    """

    name: str
    owners: tuple[str, ...]
    profiles: tuple[str, ...]
    environments: dict[str, ListedTracks | None]


def build_listing(
    plans: Mapping[str, StackPlan], wanted: Callable[[ModelPlan], bool] | None = None
) -> tuple[ListedModel, ...]:
    """Returns the models of these environments, sorted by name.

    `wanted` selects models by their plans. A model that runs nowhere has no plan, so it is listed
    only without `wanted`.
    """
    tracks: dict[str, dict[str, ListedTracks | None]] = {}
    profiles: dict[str, tuple[str, ...]] = {}
    for environment, plan in plans.items():
        for model in plan.models:
            if wanted is None or wanted(model):
                profiles[model.name] = model.profiles
                tracks.setdefault(model.name, {})[environment] = _describe(model)
        for name in plan.disabled if wanted is None else ():
            tracks.setdefault(name, {})[environment] = None
    return tuple(
        ListedModel(
            name,
            owners=tuple(dict.fromkeys(t.owner for t in found.values() if t)),
            profiles=profiles.get(name, ()),
            environments={environment: found.get(environment) for environment in plans},
        )
        for name, found in sorted(tracks.items())
    )


def _describe(model: ModelPlan) -> ListedTracks:
    stable, canary = model.find_track("stable"), model.find_track("canary")
    assert stable is not None
    return ListedTracks(
        owner=model.labels["owner"],
        image=stable.image,
        replicas=stable.fewest_replicas,
        max_replicas=stable.budget.replicas if stable.autoscaled else None,
        canary=canary.budget.replicas if canary else 0,
    )
