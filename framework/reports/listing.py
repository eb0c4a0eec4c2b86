"""Every model with its owner, profiles, image, and replicas in each environment.

Kept apart from the plans, each of which knows one environment: what is listed is read off them, so
that a catalog that was planned before is listed without its settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from framework.plan import ModelPlan, StackPlan


@dataclass(frozen=True)
class Presence:
    """One model in one environment: its image and its Pods.

    `replicas` is the number of stable Pods, the least of them where an autoscaler may make as many
    as `max_replicas`; `canary` the candidate's, 0 where there is none.
    """

    owner: str
    image: str
    replicas: int
    max_replicas: int | None
    canary: int


@dataclass(frozen=True)
class ListedModel:
    """One model; `environments` has every one asked for, None where the model does not run."""

    name: str
    profiles: tuple[str, ...] = ()
    environments: dict[str, Presence | None] = field(default_factory=dict)

    @property
    def owners(self) -> tuple[str, ...]:
        """One, unless an overlay says otherwise; () where it runs nowhere."""
        return tuple(dict.fromkeys(one.owner for one in self.environments.values() if one))


def build_listing(
    plans: Mapping[str, StackPlan], wanted: Callable[[ModelPlan], bool] | None = None
) -> tuple[ListedModel, ...]:
    """The models of these environments, by name; those that run nowhere only where `wanted` does
    not choose, since nothing is known of them."""
    listed: dict[str, ListedModel] = {}
    for environment, plan in plans.items():
        running = {one.name: one for one in plan.models if wanted is None or wanted(one)}
        for name in sorted({*running, *(plan.disabled if wanted is None else ())}):
            model = running.get(name)
            before = listed.get(name, ListedModel(name))
            profiles = model.profiles if model else before.profiles
            here = {environment: _describe(model) if model else None}
            listed[name] = ListedModel(name, profiles, {**before.environments, **here})
    return tuple(
        ListedModel(name, one.profiles, {each: one.environments.get(each) for each in plans})
        for name, one in sorted(listed.items())
    )


def _describe(model: ModelPlan) -> Presence:
    stable, canary = model.find_track("stable"), model.find_track("canary")
    assert stable is not None
    scaler = model.find("HorizontalPodAutoscaler")
    least = scaler.object["spec"].get("minReplicas", 1) if scaler else stable.budget.replicas
    return Presence(
        owner=model.labels["owner"],
        image=stable.image,
        replicas=least,
        max_replicas=stable.budget.replicas if scaler else None,
        canary=canary.budget.replicas if canary else 0,
    )
