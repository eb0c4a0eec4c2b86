"""The plan store: the one way to get the plans of stacks, with everything that the checks report.

Plans and facts of models are read from the cache where their files have not changed. The others are
planned in as many processes as are worth starting. A caller cannot tell the difference.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.core.diagnostics import Diagnostic, distinct_diagnostics
from framework.core.errors import ConfigError
from framework.core.stack import Stack
from framework.files import environment_names
from framework.plan.cache import Digests, PlanCache, compute_digests
from framework.plan.checks.facts import (
    EnvironmentFacts,
    ModelFacts,
    StackFindings,
    check_all_environments,
    check_stack,
)
from framework.plan.manifest import ModelPlan, StackPlan

# Neither OmegaConf nor pydantic may be imported here: a plan that is read from the cache is there
# in half the time that these two take to load. `plan_models` imports them when it has to plan.
if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

    from framework.catalog import CatalogReader
    from framework.files import Document

# Starting a process costs about as much as planning this many models.
_FEWEST_MODELS = 150


@dataclass(frozen=True)
class PlannedModel:
    """The plan of one model; None where it is `disabled`, or has errors that spoil its manifests.

    A model that breaks a rule of the policy or its budget has a plan: its manifests are what the
    files say.
    """

    plan: ModelPlan | None
    disabled: bool = False


@dataclass(frozen=True)
class PlannedEnvironment:
    """What all models of a stack share: the plan without models, and the facts.

    `plan` is None where `_defaults` or environment.yaml has errors.
    """

    plan: StackPlan | None
    facts: EnvironmentFacts


@dataclass
class Part:
    """What one process planned for one stack."""

    environment: PlannedEnvironment
    models: dict[str, PlannedModel] = field(default_factory=dict)
    facts: dict[str, ModelFacts] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadedPlan:
    """The plan of one stack with everything that is wrong in its files.

    `plan` has the models whose manifests can be built. It is None where files that all models share
    have errors. `unplanned` names the models that it lacks because of errors. `warnings` stop
    nothing.
    """

    stack: Stack
    plan: StackPlan | None
    unplanned: frozenset[str]
    errors: tuple[Diagnostic, ...]
    warnings: tuple[Diagnostic, ...]

    def require(self) -> StackPlan:
        """Returns the plan; raises ConfigError with every error where there is any."""
        if self.errors or self.plan is None:
            raise ConfigError(self.errors)
        return self.plan


@dataclass(frozen=True)
class LoadedPlans:
    """The plans of several stacks, in the order in which they were asked for.

    `diagnostics` has every error and warning of all of them, each once. Where they are all stacks
    of the catalog, it also has what only a comparison of all environments shows.
    """

    plans: Mapping[Stack, LoadedPlan]
    diagnostics: tuple[Diagnostic, ...]

    def __getitem__(self, stack: Stack) -> LoadedPlan:
        return self.plans[stack]


class PlanStore:
    """Loads the plans of a catalog's stacks.

    `today` decides which waivers have expired; None treats all as valid. `processes` limits the
    number of processes, this one included; None starts as many as are worth it.
    """

    def __init__(
        self,
        root: Path,
        *,
        today: date | None = None,
        cache: PlanCache | None = None,
        processes: int | None = None,
    ) -> None:
        self._root, self._today, self._processes = root, today, processes
        self._cache = cache or PlanCache()

    def load_one(
        self,
        stack: Stack,
        *,
        models: Collection[str] | None = None,
        overrides: Sequence[Document] = (),
    ) -> LoadedPlan:
        """Loads the plan of one stack, as `load` does."""
        return self.load([stack], models=models, overrides=overrides)[stack]

    def load(
        self,
        stacks: Sequence[Stack],
        *,
        models: Collection[str] | None = None,
        overrides: Sequence[Document] = (),
    ) -> LoadedPlans:
        """Loads the plans of some stacks.

        `models` names the models to plan, None plans all; the files of others are not read, and
        checks that need all models are left out. `overrides` are merged over every model after all
        other layers. Raises UnknownNameError for an environment.
        """
        digests = {stack: compute_digests(self._root, stack, models) for stack in stacks}
        loads = {
            stack: _StackLoad(stack, digests[stack], models is None, self._today)
            for stack in stacks
        }
        if not overrides:
            for load in loads.values():
                load.read(self._cache)
        missing = {stack: load.missing for stack, load in loads.items() if load.is_incomplete}
        if missing:
            for stack, part in self._plan(missing, overrides):
                loads[stack].add(part)
        for load in loads.values():
            load.check()
        if not overrides:
            new: dict[str, Any] = {}
            for stack, load in loads.items():
                # Not where a file changed while it was read: the digest is that of the old file.
                if load.new and compute_digests(self._root, stack, models) == digests[stack]:
                    new |= load.new
            if new:
                self._cache.keep(new)
        return self._combine(list(loads.values()), models is None)

    def _plan(
        self, missing: Mapping[Stack, Collection[str]], overrides: Sequence[Document]
    ) -> list[tuple[Stack, Part]]:
        """Plans models of some stacks, in parts of about the same size."""
        count = self._processes
        if count is None:
            count = min(_count_cores(), sum(map(len, missing.values())) // _FEWEST_MODELS)
        own, *others = _divide(missing, max(1, count))
        with _open_pool(len(others)) as pool:
            # Submitted first: the processes load their modules while this one loads its own.
            futures = [
                pool.submit(plan_models, self._root, names, tuple(overrides))
                for names in others
                if pool is not None
            ]
            parts = [*plan_models(self._root, own, overrides).items()]
            for names, future in zip(others, futures, strict=True):
                parts += self._wait(future, names, overrides).items()
        return parts

    def _wait(
        self,
        future: Future[dict[Stack, Part]],
        names: Mapping[Stack, Collection[str]],
        overrides: Sequence[Document],
    ) -> dict[Stack, Part]:
        from concurrent.futures import BrokenExecutor

        try:
            return future.result()
        except BrokenExecutor:
            # The kernel may have killed the process for memory: plan its part here.
            return plan_models(self._root, names, overrides)

    def _combine(self, loads: Sequence[_StackLoad], complete: bool) -> LoadedPlans:
        plans = {load.stack: load.build() for load in loads}
        diagnostics = [d for plan in plans.values() for d in (*plan.errors, *plan.warnings)]
        environments = sorted({load.stack.environment for load in loads})
        if complete and environments == sorted(environment_names(self._root)):
            diagnostics += check_all_environments(
                [load.environment.facts for load in loads], [load.findings.usage for load in loads]
            )
        return LoadedPlans(plans, distinct_diagnostics(diagnostics))


class _StackLoad:
    """The load of one stack: what was cached, what had to be planned, and what the checks found."""

    environment: PlannedEnvironment
    findings: StackFindings

    def __init__(self, stack: Stack, digests: Digests, complete: bool, today: date | None) -> None:
        self.stack, self._digests, self._complete, self._today = stack, digests, complete, today
        scope = "whole" if complete else "some"
        self._environment_key = f"environment {digests.shared}"
        self._findings_key = f"findings {scope} {digests.whole} {today}"
        self._models: dict[str, PlannedModel] = {}
        self._facts: dict[str, ModelFacts] = {}
        self.is_incomplete = True
        self.missing: Collection[str] = digests.models.keys()
        self.new: dict[str, Any] = {}

    def _keys(self, kind: str) -> dict[str, str]:
        return {name: f"{kind} {digest}" for name, digest in self._digests.models.items()}

    def read(self, cache: PlanCache) -> None:
        """Reads what the cache has. Plans and facts are apart: most runs need no facts."""
        plan_keys = self._keys("plan")
        entries = cache.find([self._environment_key, self._findings_key, *plan_keys.values()])
        if self._environment_key not in entries:
            return
        self.environment = entries[self._environment_key]
        if self._findings_key in entries:
            self.findings = entries[self._findings_key]
        else:
            fact_keys = self._keys("facts")
            facts = cache.find(fact_keys.values())
            self._facts = {name: facts[key] for name, key in fact_keys.items() if key in facts}
            plan_keys = {name: key for name, key in plan_keys.items() if name in self._facts}
        self._models = {name: entries[key] for name, key in plan_keys.items() if key in entries}
        self.missing = self._digests.models.keys() - self._models.keys()
        self.is_incomplete = bool(self.missing)

    def add(self, part: Part) -> None:
        """Adds what a process planned."""
        self.environment = part.environment
        self._models |= part.models
        self._facts |= part.facts
        self.new[self._environment_key] = part.environment
        for name, digest in self._digests.models.items():
            if name in part.models:
                self.new[f"plan {digest}"] = part.models[name]
                self.new[f"facts {digest}"] = part.facts[name]

    def check(self) -> None:
        """Runs the checks over all models, unless their result was cached."""
        if not hasattr(self, "findings"):
            facts = [self._facts[name] for name in sorted(self._digests.models)]
            self.findings = check_stack(
                self.environment.facts, facts, complete=self._complete, today=self._today
            )
            self.new[self._findings_key] = self.findings

    def build(self) -> LoadedPlan:
        """Puts the plan of the stack together."""
        plan = self.environment.plan
        disabled = [name for name, planned in self._models.items() if planned.disabled]
        plans = [planned.plan for planned in self._models.values() if planned.plan]
        unplanned = self._models.keys() - {model.name for model in plans} - set(disabled)
        if plan is not None:
            models = tuple(sorted(plans, key=lambda model: model.name))
            plan = replace(plan, models=models, disabled=tuple(sorted(disabled)))
        return LoadedPlan(
            self.stack, plan, frozenset(unplanned), self.findings.errors, self.findings.warnings
        )


def plan_models(
    root: Path, names: Mapping[Stack, Collection[str]], overrides: Sequence[Document]
) -> dict[Stack, Part]:
    """Plans some models of some stacks, each model by itself. Runs in any process."""
    from framework.catalog import CatalogReader

    reader = CatalogReader(root)
    return {stack: _plan_part(reader, stack, names[stack], overrides) for stack in names}


def _plan_part(
    reader: CatalogReader, stack: Stack, names: Collection[str], overrides: Sequence[Document]
) -> Part:
    from framework.catalog import CatalogLoader
    from framework.plan.build import build_stack, build_unpatched_model
    from framework.plan.checks.model import (
        build_environment_facts,
        check_model,
        describe_unplanned,
    )
    from framework.plan.patch import patch_plan

    loader = CatalogLoader(reader.root, stack, overrides, reader)
    facts = build_environment_facts(loader)
    shared_files = {"catalog/_defaults.yaml", f"environments/{stack.environment}/environment.yaml"}
    settings = loader.settings
    if any(error.path in shared_files for error in loader.diagnostics):
        settings = None
    part = Part(PlannedEnvironment(build_stack(stack, settings) if settings else None, facts))
    for name in sorted(names):
        loaded = loader.load_model(name)
        spoilt = bool(loaded.diagnostics) or any(
            facts.profile_errors[profile] for profile in loaded.profiles
        )
        if loaded.model is None or loader.settings is None:
            part.facts[name] = describe_unplanned(loaded)
            part.models[name] = PlannedModel(None, loaded.disabled and not spoilt)
            continue
        catalog = loader.build_catalog((loaded,))
        unpatched = build_unpatched_model(loaded.model, catalog.environment)
        plan, patch_errors = patch_plan(unpatched, loaded.model)
        part.facts[name] = check_model(loaded, plan, patch_errors, catalog)
        spoilt = spoilt or bool(patch_errors) or settings is None
        part.models[name] = PlannedModel(None if spoilt else plan)
    return part


def _count_cores() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _divide(
    missing: Mapping[Stack, Collection[str]], count: int
) -> list[dict[Stack, Collection[str]]]:
    """Divides models into `count` parts.

    A model is in the same part for every stack, so that only one process reads its files.
    """
    names = sorted({name for models in missing.values() for name in models})
    chosen = [frozenset(names[index::count]) for index in range(count)]
    return [{stack: names & set(models) for stack, models in missing.items()} for names in chosen]


@contextlib.contextmanager
def _open_pool(count: int) -> Iterator[ProcessPoolExecutor | None]:
    """Starts a pool of `count` processes; None for 0."""
    if count == 0:
        yield None
        return
    # Only here: these modules take longer to load than a cached plan.
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # Not forked: by now the process may have threads, of gRPC for example, and a fork of it could
    # inherit a lock that nobody releases.
    pool = ProcessPoolExecutor(count, get_context("spawn"), _prepare_worker)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _prepare_worker() -> None:
    import gc
    import signal

    # Everything that is made for a plan is kept to the end, so a collection finds nothing.
    gc.disable()
    # On Ctrl-C the terminal signals every process: this one ends without printing a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
