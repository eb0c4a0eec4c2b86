"""One environment as it was found: its plan and every fault, read back where nothing changed.

Kept apart from building the plan, and free of its imports: most runs find every file as the last
one did, and then need neither OmegaConf nor pydantic.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import ConfigError, Fault, UnknownNameError
from framework.plan.cache import Digests, PlanCache, compute_digests
from framework.plan.manifest import StackPlan
from framework.plan.workers import Workers
from framework.sources import environment_names

if TYPE_CHECKING:
    from framework.plan.findings import Findings
    from framework.plan.share import Entry
    from framework.sources import Document

# A model's plan is kept apart from what the checks know, to be read back without their classes.
_PARTS = ("plan", "facts")


@dataclass(frozen=True)
class Survey:
    """`plan` is None where there are faults."""

    plan: StackPlan | None
    faults: tuple[Fault, ...]


def load_plan(
    root: Path,
    stack: str,
    *,
    only: Collection[str] | None = None,
    last: Sequence[Document] = (),
    today: date | None = None,
) -> StackPlan:
    """The plan of a stack. Errors: UnknownNameError, ConfigError with every fault found.

    A stack is an environment of the same name; whatever maps several stacks to one environment
    belongs here. `only` names the models to plan; no file of another one is read. `last` are laid
    over every model after all else. Waivers are held against `today`; without it none has expired.
    """
    if only is not None or last:
        plan = None if last or today else _read_back(root, stack, only or ())
        if plan is not None:
            return plan
        from framework.catalog import read_catalog
        from framework.plan.stack import build_plan

        return build_plan(read_catalog(root, stack, only=only, last=last), today=today)
    survey = load_survey(root, stack, today=today)
    if survey.plan is None:
        raise ConfigError(survey.faults)
    return survey.plan


def _read_back(root: Path, environment: str, only: Collection[str]) -> StackPlan | None:
    """The plan of models that are known to be sound; None where one of them is not."""
    digests = _digests(root, environment, only)
    keys = {name: f"plan {digest}" for name, digest in digests.models.items()}
    sound = f"shared {digests.shared}"
    found = PlanCache().find([sound, *keys.values()])
    if sound not in found or not all(key in found for key in keys.values()):
        return None
    plans = {name: found[key] for name, key in keys.items()}
    bare: StackPlan = found[sound]
    return replace(
        bare,
        models=tuple(plan for _, plan in sorted(plans.items()) if plan),
        disabled=tuple(sorted(name for name, plan in plans.items() if plan is None)),
    )


def load_survey(
    root: Path,
    environment: str,
    *,
    today: date | None = None,
    cache: PlanCache | None = None,
    processes: int | None = None,
) -> Survey:
    """The plan or the faults of one environment, the same with any number of processes; None takes
    as many as it is worth. Errors: UnknownNameError."""
    cache, digests = cache or PlanCache(), _digests(root, environment)
    key = f"survey {digests.whole} {today}"
    survey: Survey | None = cache.find([key]).get(key)
    if survey is None:
        found = _find_out(root, {environment: digests}, today, cache, processes)
        survey = found[environment].survey
    return survey


def find_faults(
    root: Path,
    environments: Sequence[str],
    *,
    today: date | None = None,
    cache: PlanCache | None = None,
    processes: int | None = None,
) -> tuple[Fault, ...]:
    """Every fault and warning of these environments; where they are all there are, also what
    they do together. `processes` as for `load_survey`. Errors: UnknownNameError."""
    cache, digests = cache or PlanCache(), {name: _digests(root, name) for name in environments}
    together = sorted(environments) == sorted(environment_names(root))
    listed = " ".join(f"{name} {digests[name].whole}" for name in environments)
    key = f"faults {listed} {today} {together}"
    found: tuple[Fault, ...] | None = cache.find([key]).get(key)
    if found is None:
        findings = _find_out(root, digests, today, cache, processes)
        from framework.plan.findings import list_faults

        found = list_faults(root, [findings[name] for name in environments], together=together)
        if all(_digests(root, name) == digests[name] for name in environments):
            cache.keep({key: found})
    return found


def _digests(root: Path, environment: str, only: Collection[str] | None = None) -> Digests:
    if environment not in (known := environment_names(root)):
        raise UnknownNameError("environment", environment, known)
    return compute_digests(root, environment, only)


def _find_out(
    root: Path,
    digests: Mapping[str, Digests],
    today: date | None,
    cache: PlanCache,
    processes: int | None,
) -> dict[str, Findings]:
    """Find out what is not kept, and keep it: but only if no file changed meanwhile."""
    known = {name: _find_known(cache, one) for name, one in digests.items()}
    new = {name: one.models.keys() - known[name].keys() for name, one in digests.items()}
    # Started before the imports here, which every worker does for itself meanwhile.
    with Workers(root, new, processes) as workers:
        from framework.plan.findings import find_out

        findings = find_out(root, known, today, workers)
    for name, one in digests.items():
        if compute_digests(root, name) == one:
            _keep(cache, one, today, findings[name])
    return findings


def _find_known(cache: PlanCache, digests: Digests) -> dict[str, Entry]:
    """The sound models that are known; none where what they share is not known to be sound."""
    models, sound = digests.models, f"shared {digests.shared}"
    kept = cache.find([sound, *(f"{part} {d}" for d in models.values() for part in _PARTS)])
    if sound not in kept:
        return {}
    return {
        name: replace(kept[f"facts {digest}"], plan=kept[f"plan {digest}"])
        for name, digest in models.items()
        if all(f"{part} {digest}" in kept for part in _PARTS)
    }


def _keep(cache: PlanCache, digests: Digests, today: date | None, findings: Findings) -> None:
    entries: dict[str, Any] = {f"survey {digests.whole} {today}": findings.survey}
    for name, entry in findings.entries.items():
        entries[f"plan {digests.models[name]}"] = entry.plan
        entries[f"facts {digests.models[name]}"] = replace(entry, plan=None)
    if findings.bare is not None:
        entries[f"shared {digests.shared}"] = findings.bare
    cache.keep(entries)
