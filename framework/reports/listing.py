"""Every model with its owner, profiles, image, and replicas in each environment.

Kept apart from the plan, which knows one environment at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from framework.catalog import Catalog, CatalogModel
from framework.plan.stack import resolve_replicas


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


def build_listing(catalogs: Mapping[str, Catalog], label: str | None) -> tuple[ListedModel, ...]:
    """The models of these environments, by name; `label` (`owner=team-nlp`) leaves out others."""
    listed: dict[str, ListedModel] = {}
    for environment, catalog in catalogs.items():
        running = {model.name: model for model in catalog.models if _has_label(model, label)}
        for name in sorted({*running, *(catalog.disabled if label is None else ())}):
            model = running.get(name)
            before = listed.get(name, ListedModel(name))
            profiles = model.profiles if model else before.profiles
            here = {environment: _describe(model) if model else None}
            listed[name] = ListedModel(name, profiles, {**before.environments, **here})
    return tuple(
        ListedModel(name, one.profiles, {each: one.environments.get(each) for each in catalogs})
        for name, one in sorted(listed.items())
    )


def _has_label(model: CatalogModel, label: str | None) -> bool:
    key, _, value = (label or "").partition("=")
    return label is None or model.labels.get(key) == value


def _describe(model: CatalogModel) -> Presence:
    scaling = model.settings.autoscaling
    stable = resolve_replicas(model, "stable")
    return Presence(
        owner=model.settings.owner,
        image=model.settings.image.reference,
        replicas=scaling.min_replicas if scaling else stable,
        max_replicas=stable if scaling else None,
        canary=resolve_replicas(model, "canary") if model.candidate else 0,
    )
