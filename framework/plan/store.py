"""The plan store: the only way to get checked plans of stacks, with the diagnostics.

A model whose files have not changed is read from the cache. The others are planned, in several
processes where there are many. The result is the same either way.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.core.diagnostics import Diagnostic, distinct_diagnostics
from framework.core.errors import ConfigError
from framework.core.stack import Stack
from framework.files import environment_names, environment_path
from framework.plan.cache import Digests, PlanCache, compute_digests
from framework.plan.checks.facts import (
    EnvironmentFacts,
    ModelFacts,
    StackFindings,
    check_all_environments,
    check_stack,
)
from framework.plan.manifest import ModelPlan, StackPlan

# Neither OmegaConf nor pydantic may be imported here: reading a plan from the cache takes half as
# long as importing these two. `plan_models` imports them if there is something to plan.
if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

    from framework.catalog import CatalogReader
    from framework.files.document import Document

# From twice as many models on, a second process saves more time than its start takes (two quiet
# cores: 150 models in 1.5 s instead of 1.9 s).
_FEWEST_MODELS = 75


@dataclass(frozen=True)
class PlannedModel:
    """The plan of one model; None where it is `disabled`, or its files have errors.

    A model that breaks a rule of the policy, or whose update cannot work, has a plan: its manifests
    can be built.
    """

    plan: ModelPlan | None
    disabled: bool = False


@dataclass(frozen=True)
class PlannedEnvironment:
    """The part of a plan that all models share: a plan without models, and the facts.

    `plan` is None where `_defaults` or environment.yaml has errors.
    """

    plan: StackPlan | None
    facts: EnvironmentFacts


@dataclass
class Part:
    """The models of one stack that one process planned."""

    environment: PlannedEnvironment
    models: dict[str, PlannedModel] = field(default_factory=dict)
    facts: dict[str, ModelFacts] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadedPlan:
    """The plan of one stack with everything that is wrong in its files.

    `plan` has the models whose manifests can be built. It is None where files that all models share
    have errors. `unplanned` names the models that it lacks because of errors. Only `errors` keep a
    plan from being used, not `warnings`.
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
    """The plans of several stacks, in the order of the request.

    `diagnostics` has every error and warning of all of them, each once. If the request covers all
    environments, it also has the results of the checks that compare environments.
    """

    plans: Mapping[Stack, LoadedPlan]
    diagnostics: tuple[Diagnostic, ...]

    def __getitem__(self, stack: Stack) -> LoadedPlan:
        return self.plans[stack]


class PlanStore:
    """Loads the plans of a catalog's stacks.

    `today` decides which waivers have expired; None treats all as valid. `processes` limits the
    number of processes, this one included; None starts as many as save time.
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
        checked = self._check(stacks, models, overrides, with_plans=True)
        plans = {stack.stack: stack.build_plan() for stack in checked}
        return LoadedPlans(plans, self._collect(checked, complete=models is None))

    def check(self, stacks: Sequence[Stack]) -> tuple[Diagnostic, ...]:
        """Returns the diagnostics that `load` returns; faster, because it reads no cached plans."""
        return self._collect(self._check(stacks, None, (), with_plans=False), complete=True)

    def _check(
        self,
        stacks: Sequence[Stack],
        models: Collection[str] | None,
        overrides: Sequence[Document],
        *,
        with_plans: bool,
    ) -> list[_CheckedStack]:
        """Reads the cache, plans what it lacks, runs the checks, and stores what is new.

        `with_plans` is False if only the findings are needed, not the plans of the models.
        """
        loads = [
            _StackLoad(
                stack, compute_digests(self._root, stack, models), models is None, self._today
            )
            for stack in stacks
        ]
        # A plan with overrides depends on more than the files, so it is neither read nor kept.
        if not overrides:
            for load in loads:
                load.read(self._cache, with_plans=with_plans)
        missing = {load.stack: load.find_missing(with_plans=with_plans) for load in loads}
        planned = self._plan(
            {stack: names for stack, names in missing.items() if names is not None}, overrides
        )
        for load in loads:
            for part in planned.get(load.stack, ()):
                load.add(part)
        checked = [load.check() for load in loads]
        if not overrides:
            self._keep(loads, models)
        return checked

    def _keep(self, loads: Iterable[_StackLoad], models: Collection[str] | None) -> None:
        """Stores what was planned and checked.

        Not where a file changed while it was read: the digest is that of the old file.
        """
        new: dict[str, Any] = {}
        for load in loads:
            if load.new and compute_digests(self._root, load.stack, models) == load.digests:
                new |= load.new
        if new:
            self._cache.keep(new)

    def _plan(
        self, missing: Mapping[Stack, Collection[str]], overrides: Sequence[Document]
    ) -> dict[Stack, list[Part]]:
        """Plans models of some stacks, in one part for each process."""
        if not missing:
            return {}
        count = self._processes
        if count is None:
            count = min(_count_cores(), sum(map(len, missing.values())) // _FEWEST_MODELS)
        own, *others = _divide(missing, max(1, count))
        with _open_pool(len(others)) as pool:
            # Submitted before this process plans its own part, so that all import their modules at
            # the same time.
            futures = [
                pool.submit(plan_models, self._root, names, tuple(overrides))
                for names in others
                if pool is not None
            ]
            results = [plan_models(self._root, own, overrides)]
            results += [
                self._wait(future, names, overrides)
                for names, future in zip(others, futures, strict=True)
            ]
        return {stack: [result[stack] for result in results] for stack in missing}

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
            # The kernel may have killed the process for lack of memory: plan its part here.
            return plan_models(self._root, names, overrides)

    def _collect(
        self, stacks: Sequence[_CheckedStack], *, complete: bool
    ) -> tuple[Diagnostic, ...]:
        """Returns the diagnostics of stacks; for all environments, also those of comparing them."""
        diagnostics = [
            diagnostic
            for stack in stacks
            for diagnostic in (*stack.findings.errors, *stack.findings.warnings)
        ]
        environments = sorted({stack.stack.environment for stack in stacks})
        if complete and environments == sorted(environment_names(self._root)):
            diagnostics += check_all_environments(
                [stack.environment.facts for stack in stacks],
                [stack.findings.usage for stack in stacks],
            )
        return distinct_diagnostics(diagnostics)


@dataclass(frozen=True)
class _CheckedStack:
    """One stack after the checks. `models` is empty where only the findings were needed."""

    stack: Stack
    environment: PlannedEnvironment
    models: Mapping[str, PlannedModel]
    findings: StackFindings

    def build_plan(self) -> LoadedPlan:
        """Builds the plan of the stack from the plans of its models."""
        plan = self.environment.plan
        disabled = [name for name, planned in self.models.items() if planned.disabled]
        plans = [planned.plan for planned in self.models.values() if planned.plan]
        unplanned = self.models.keys() - {model.name for model in plans} - set(disabled)
        if plan is not None:
            models = tuple(sorted(plans, key=lambda model: model.name))
            plan = replace(plan, models=models, disabled=tuple(sorted(disabled)))
        return LoadedPlan(
            self.stack, plan, frozenset(unplanned), self.findings.errors, self.findings.warnings
        )


class _StackLoad:
    """Collects what is needed of one stack: `read` the cache, `add` what was planned, `check`.

    The cache has four kinds of entries. Each key names the input that the entry depends on, so an
    entry of a changed file is not found any more:

        environment <digest of the shared files>               PlannedEnvironment
        plan <digest of a model's files>                       PlannedModel
        facts <digest of a model's files>                      ModelFacts, what the checks compare
        findings <all or some> <digest of all files> <date>    StackFindings, their result
    """

    def __init__(self, stack: Stack, digests: Digests, complete: bool, today: date | None) -> None:
        self.stack, self.digests, self._complete, self._today = stack, digests, complete, today
        scope = "all" if complete else "some"
        self._environment_key = f"environment {digests.shared}"
        self._findings_key = f"findings {scope} {digests.combined} {today}"
        # None until they are read or computed.
        self._environment: PlannedEnvironment | None = None
        self._findings: StackFindings | None = None
        self._models: dict[str, PlannedModel] = {}
        self._facts: dict[str, ModelFacts] = {}
        # The entries to be stored in the cache.
        self.new: dict[str, Any] = {}

    def read(self, cache: PlanCache, *, with_plans: bool) -> None:
        """Reads the entries that are needed, as far as the cache has them.

        Plans are read only `with_plans`, because those of a thousand models take longer to read
        than everything else. Facts are read only where the result of the checks is not cached.
        """
        entries = cache.find([self._environment_key, self._findings_key])
        self._environment = entries.get(self._environment_key)
        if self._environment is None:
            return
        self._findings = entries.get(self._findings_key)
        if self._findings is None:
            self._facts = self._read_models(cache, "facts")
        if with_plans:
            self._models = self._read_models(cache, "plan")

    def _read_models(self, cache: PlanCache, kind: str) -> dict[str, Any]:
        keys = {name: f"{kind} {digest}" for name, digest in self.digests.models.items()}
        entries = cache.find(keys.values())
        return {name: entries[key] for name, key in keys.items() if key in entries}

    def find_missing(self, *, with_plans: bool) -> Collection[str] | None:
        """Returns the models that must be planned; None if nothing has to be.

        The result is empty if only the part that all models share has to be planned.
        """
        names = self.digests.models.keys()
        if self._environment is None:
            return names
        missing: set[str] = set()
        if self._findings is None:
            missing |= names - self._facts.keys()
        if with_plans:
            missing |= names - self._models.keys()
        return missing or None

    def add(self, part: Part) -> None:
        """Adds what a process planned."""
        self._environment = part.environment
        self._models |= part.models
        self._facts |= part.facts
        self.new[self._environment_key] = part.environment
        for name, digest in self.digests.models.items():
            if name in part.models:
                self.new[f"plan {digest}"] = part.models[name]
                self.new[f"facts {digest}"] = part.facts[name]

    def check(self) -> _CheckedStack:
        """Runs the checks over all models, unless their result was cached."""
        assert self._environment is not None, "what `find_missing` returns was not added"
        if self._findings is None:
            facts = [self._facts[name] for name in sorted(self.digests.models)]
            self._findings = check_stack(
                self._environment.facts, facts, complete=self._complete, today=self._today
            )
            self.new[self._findings_key] = self._findings
        return _CheckedStack(self.stack, self._environment, self._models, self._findings)


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
    from framework.plan.build import build_patched_model, build_stack
    from framework.plan.checks.model import (
        build_environment_facts,
        check_model,
        describe_unplanned,
    )
    from framework.plan.interpolated import write_numbers_as_text
    from framework.plan.raw_settings import find_raw_diagnostics

    loader = CatalogLoader(reader.root, stack, overrides, reader)
    facts = build_environment_facts(loader)
    shared_files = {"catalog/_defaults.yaml", environment_path(stack.environment)}
    settings = loader.settings
    if any(error.path in shared_files for error in loader.diagnostics):
        settings = None
    shared = build_stack(stack, settings, loader.merged) if settings else None
    part = Part(PlannedEnvironment(shared, facts))
    for name in sorted(names):
        loaded = loader.load_model(name)
        has_errors = bool(loaded.diagnostics) or any(
            facts.profile_errors[profile] for profile in loaded.profiles
        )
        if loaded.model is None or loader.settings is None:
            part.facts[name] = describe_unplanned(loaded)
            part.models[name] = PlannedModel(None, loaded.disabled and not has_errors)
            continue
        model = write_numbers_as_text(loaded.model)
        loaded = replace(loaded, model=model)
        catalog = loader.build_catalog((loaded,))
        plan, patch_errors = build_patched_model(model, catalog.environment)
        field_errors = [*find_raw_diagnostics(model), *patch_errors]
        part.facts[name] = check_model(loaded, plan, field_errors, catalog)
        has_errors = has_errors or bool(field_errors) or settings is None
        part.models[name] = PlannedModel(None if has_errors else plan)
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
    # Imported only here: these modules take longer to load than a cached plan.
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

    # All objects of a plan are needed until the end, so garbage collection would find nothing.
    gc.disable()
    # On Ctrl-C the terminal signals every process: this one ends without printing a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
