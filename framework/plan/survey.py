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

from framework.core.diagnostics import Diagnostic
from framework.core.errors import ConfigError, UnknownNameError
from framework.files import environment_names
from framework.plan.cache import Digests, PlanCache, compute_digests
from framework.plan.manifest import ModelPlan, StackPlan
from framework.plan.workers import Workers

if TYPE_CHECKING:
    from framework.files import Document
    from framework.plan.findings import Findings
    from framework.plan.share import Entry


@dataclass(frozen=True)
class Survey:
    """`plan` is None where there are faults."""

    plan: StackPlan | None
    diagnostics: tuple[Diagnostic, ...]


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
        raise ConfigError(survey.diagnostics)
    return survey.plan


def _read_back(root: Path, environment: str, only: Collection[str]) -> StackPlan | None:
    """The plan of models that are known to be sound; None where one of them is not."""
    return _read_plan(PlanCache(), _digests(root, environment, only))


def _read_plan(cache: PlanCache, digests: Digests) -> StackPlan | None:
    """The plan of these models as it is kept; None where a part of it is not."""
    bare, plans = _find_bare(cache, digests), _find_plans(cache, digests)
    return _with_models(bare, plans) if bare and plans.keys() == digests.models.keys() else None


def _find_bare(cache: PlanCache, digests: Digests) -> StackPlan | None:
    """The plan without its models; None where what they share is not known to be sound."""
    key = f"shared {digests.shared}"
    bare: StackPlan | None = cache.find([key]).get(key)
    return bare


def _find_plans(cache: PlanCache, digests: Digests) -> dict[str, ModelPlan | None]:
    """The plans of sound models that are kept, None for those that are disabled."""
    return cache.find_by(digests.models, "plan")


def read_known(root: Path, environment: str, only: Collection[str] | None) -> StackPlan | None:
    """Of these models, None for all, those that are known to be sound; None where what they share
    is not known to be."""
    cache, digests = PlanCache(), _digests(root, environment, only)
    bare = _find_bare(cache, digests)
    return _with_models(bare, _find_plans(cache, digests)) if bare else None


def _with_models(bare: StackPlan, plans: Mapping[str, ModelPlan | None]) -> StackPlan:
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
    kept = cache.find([key])
    plan = _read_plan(cache, digests) if key in kept and not kept[key] else None
    if plan or kept.get(key):
        return Survey(plan, kept.get(key, ()))
    plans = _find_plans(cache, digests)
    known = {name: entry for name, entry in _find_known(cache, digests).items() if name in plans}
    found = _find_out(root, {environment: digests}, {environment: known}, today, cache, processes)[
        environment
    ]
    if found.diagnostics or found.bare is None:
        return Survey(None, found.diagnostics)
    new = {name: found.plans.get(name) for name in found.entries}
    return Survey(_with_models(found.bare, {**{name: plans[name] for name in known}, **new}), ())


def find_diagnostics(
    root: Path,
    environments: Sequence[str],
    *,
    today: date | None = None,
    cache: PlanCache | None = None,
    processes: int | None = None,
) -> tuple[Diagnostic, ...]:
    """Every fault and warning of these environments; where they are all there are, also what
    they do together. `processes` as for `load_survey`. Errors: UnknownNameError."""
    cache, digests = cache or PlanCache(), {name: _digests(root, name) for name in environments}
    together = sorted(environments) == sorted(environment_names(root))
    listed = " ".join(f"{name} {digests[name].whole}" for name in environments)
    key = f"faults {listed} {today} {together}"
    found: tuple[Diagnostic, ...] | None = cache.find([key]).get(key)
    if found is None:
        known = {name: _find_known(cache, one) for name, one in digests.items()}
        findings = _find_out(root, digests, known, today, cache, processes)
        from framework.plan.findings import list_diagnostics

        found = list_diagnostics(root, [findings[name] for name in environments], together=together)
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
    known: Mapping[str, Mapping[str, Entry]],
    today: date | None,
    cache: PlanCache,
    processes: int | None,
) -> dict[str, Findings]:
    """Find out what is not known, and keep it: but only if no file changed meanwhile."""
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
    """What the checks know of sound models; nothing where what these share is not known to be
    sound."""
    return cache.find_by(digests.models, "facts") if _find_bare(cache, digests) else {}


def _keep(cache: PlanCache, digests: Digests, today: date | None, findings: Findings) -> None:
    kept: dict[str, Any] = {f"survey {digests.whole} {today}": findings.diagnostics}
    for name, entry in findings.entries.items():
        # Apart, since a plan is read back without the classes of the checks, and they without it.
        kept[f"plan {digests.models[name]}"] = findings.plans.get(name)
        kept[f"facts {digests.models[name]}"] = entry
    if findings.bare is not None:
        kept[f"shared {digests.shared}"] = findings.bare
    cache.keep(kept)
