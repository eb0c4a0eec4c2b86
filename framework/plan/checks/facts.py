"""The facts about each checked model, and the checks that compare the facts of all models.

Facts are plain data: they can be collected in any process and are kept in the cache. This module
imports neither pydantic nor OmegaConf, so that cached facts are compared without loading them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from framework.core.diagnostics import Code, Diagnostic, Position, distinct_diagnostics

# The first part of the key of a claim for a model's own name, or for its previous one.
MODEL_NAME = "model"
_MAX_LISTED = 3
# Thousandths of a byte in a tenth of a Gi, the smallest amount of memory that messages show.
_TENTH = 1024**3 * 100


@dataclass(frozen=True)
class Claim:
    """A name that only one model may have: that of an object, or a host and path of an Ingress.

    Two models clash where they claim the same `key`; `what` names it in messages.
    """

    code: Code
    key: tuple[str, ...]
    what: str
    position: Position


@dataclass(frozen=True)
class WaiverFacts:
    """A valid waiver of one model, and the errors that it silences there.

    `until` is its last day, `until_position` the position of that setting.
    """

    rule: str
    until: date
    position: Position
    until_position: Position
    silenced: tuple[Diagnostic, ...]


@dataclass(frozen=True)
class Repeat:
    """A value that equals the one it overrides; `setting` is its path as messages name it."""

    position: Position
    setting: str


@dataclass(frozen=True)
class ModelFacts:
    """The facts that the checks over all models need of one model.

    `errors` are about this model alone; `reading_errors` is True where some of them were found
    while its files were loaded. `needs` is what all its Pods request of each resource without an
    update, in thousandths of a unit, with the setting that decides the largest part. `files` are
    those that it is merged from. `repeats` has each value that equals the value of a lower
    layer, with the position of the lower one and the value as messages may show it.
    """

    name: str
    errors: tuple[Diagnostic, ...] = ()
    reading_errors: bool = False
    profiles: tuple[str, ...] = ()
    idle_overlay: Position | None = None
    disabled_at: Position | None = None
    needs: Mapping[str, tuple[int, Position]] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    waivers: tuple[WaiverFacts, ...] = ()
    files: tuple[str, ...] = ()
    repeats: Mapping[Repeat, tuple[Position, str]] = field(default_factory=dict)
    warnings: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True)
class Capacity:
    """The capacity of an environment for one resource, in thousandths of a unit."""

    amount: int
    setting: str
    position: Position


@dataclass(frozen=True)
class EnvironmentFacts:
    """The facts that the checks need of an environment, and the errors in its shared files.

    `cluster` is the kubeconfig, the context and the Namespace; None where environment.yaml has
    errors. `profile_paths` and `profile_errors` have every profile of the catalog.
    """

    environment: str
    errors: tuple[Diagnostic, ...]
    profile_paths: Mapping[str, str]
    profile_errors: Mapping[str, tuple[Diagnostic, ...]]
    capacity: Mapping[str, Capacity]
    cluster: tuple[str, str, str] | None = None
    namespace_position: Position | None = None
    promotes_to: str | None = None
    promotes_to_position: Position | None = None


@dataclass(frozen=True)
class FileUsage:
    """Counts of the models that use each file and value, in one environment or in all of them.

    `files` counts the models that each file is a layer of. `repeats` counts the models in which a
    value equals the value of a lower layer, and `below` has the position and text of the lower
    value. If both counts are equal, the value changes nothing in any model and is superfluous.
    `complete` is False where models with errors were left out: they may need such a value.
    """

    files: Mapping[str, int]
    repeats: Mapping[Repeat, int]
    below: Mapping[Repeat, tuple[Position, str]]
    waivers: tuple[WaiverFacts, ...]
    complete: bool


@dataclass(frozen=True)
class StackFindings:
    """Every error and warning about one stack, sorted, and the usage of files in it."""

    errors: tuple[Diagnostic, ...]
    warnings: tuple[Diagnostic, ...]
    usage: FileUsage


def check_stack(
    environment: EnvironmentFacts,
    models: Sequence[ModelFacts],
    *,
    complete: bool,
    today: date | None,
) -> StackFindings:
    """Runs the checks over all models of a stack, and collects the errors of each.

    `complete` is False where only some models were requested; then nothing is reported as unused.
    `today` decides which waivers have expired; None treats all as valid.
    """
    errors = [*environment.errors]
    used = {profile for model in models for profile in model.profiles}
    for name, diagnostics in environment.profile_errors.items():
        # A command that is narrowed to some models does not fail because of a profile of others.
        if complete or name in used:
            errors += diagnostics
    # Before the errors of models are added: a model that breaks a rule of the policy was read.
    all_read = complete and not errors and not any(model.reading_errors for model in models)
    for model in models:
        errors += model.errors
        if today is not None:
            errors += _find_expired_waivers(model, today)
    errors += _find_overcommitment(environment, models)
    errors += _find_clashes(models)
    folder = f"environments/{environment.environment}/"
    if all_read:
        # Only if all files could be read: a model with errors may be the one that needs the waiver.
        errors += _find_useless_waivers(
            (waiver for model in models for waiver in model.waivers), folder
        )
    usages = [
        FileUsage(
            files=dict.fromkeys(model.files, 1),
            repeats=dict.fromkeys(model.repeats, 1),
            below=model.repeats,
            waivers=model.waivers,
            complete=True,
        )
        for model in models
    ]
    usage = add_usages(usages, complete=not errors and complete)
    warnings = [warning for model in models for warning in model.warnings]
    if complete:
        warnings += [
            Position(path, 0, 0).diagnostic(
                Code.UNUSED_PROFILE, "no model lists this profile; remove it"
            )
            for name, path in environment.profile_paths.items()
            if name not in used
        ]
        warnings += [
            model.idle_overlay.diagnostic(
                Code.DISABLED_OVERLAY,
                "this overlay changes nothing, because the model does not run here: enabled is "
                f"false ({model.disabled_at}); remove the file, or set enabled: true in it",
            )
            for model in models
            if model.idle_overlay
        ]
    if usage.complete:
        warnings += _find_repeats(usage, folder)
    return StackFindings(distinct_diagnostics(errors), tuple(sorted(warnings)), usage)


def check_all_environments(
    environments: Sequence[EnvironmentFacts], usages: Sequence[FileUsage]
) -> list[Diagnostic]:
    """Runs the checks that compare all environments.

    They find environments that share a Namespace, a `promotesTo` that leads back to its own
    environment, and values and waivers in catalog/ that no environment needs.
    """
    diagnostics = [*_find_namespace_clashes(environments), *_find_promotion_errors(environments)]
    if all(usage.complete for usage in usages):
        total = add_usages(usages, complete=True)
        diagnostics += _find_repeats(total, "catalog/")
        diagnostics += _find_useless_waivers(total.waivers, "catalog/")
    return sorted(diagnostics)


def _find_overcommitment(
    environment: EnvironmentFacts, models: Iterable[ModelFacts]
) -> Iterator[Diagnostic]:
    """Yields an error for each resource of which all models without any update need more than the
    capacity.

    It is at the latest layer, as for all errors with several causes: at the largest user with a
    setting of this environment, else at the capacity. A model that exceeds the capacity alone is
    reported by itself.
    """
    folder = f"environments/{environment.environment}/"
    for resource, capacity in sorted(environment.capacity.items()):
        users = [
            (model.name, *model.needs[resource]) for model in models if resource in model.needs
        ]
        users.sort(key=lambda user: (-user[1], user[0]))
        total = sum(amount for _, amount, _ in users)
        if total <= capacity.amount or users[0][1] > capacity.amount:
            continue
        shown = [
            f"{name} {render_amount(amount, resource)} ({position.short})"
            for name, amount, position in users[:_MAX_LISTED]
        ]
        if rest := users[_MAX_LISTED:]:
            amount = render_amount(sum(amount for _, amount, _ in rest), resource)
            shown.append(f"{len(rest)} more {amount}")
        message = (
            f"without any update, all models need {render_amount(total, resource)} {resource}, and "
            f"{capacity.setting} is {render_amount(capacity.amount, resource, down=True)} "
            f"({capacity.position.short}): {', '.join(shown)}; expected fewer replicas, smaller "
            "requests or more capacity"
        )
        own = (position for _, _, position in users if position.path.startswith(folder))
        yield next(own, capacity.position).diagnostic(Code.CAPACITY, message)


def render_amount(thousandths: int, resource: str, *, down: bool = False) -> str:
    """Returns an amount in the unit that people use: "2.5" cores, "1.5Gi" of memory, "16" GPUs.

    Memory has one decimal. A need is rounded up, and a capacity down (`down`), so that a message
    never shows the same number for a capacity and a need that exceeds it.
    """
    if not (resource in ("memory", "ephemeral-storage") or resource.startswith("hugepages-")):
        return _render_decimal(*divmod(thousandths, 1000), 3)
    tenths = thousandths // _TENTH if down else -(-thousandths // _TENTH)
    return f"{_render_decimal(*divmod(tenths, 10), 1)}Gi"


def _render_decimal(whole: int, rest: int, digits: int) -> str:
    return f"{whole}.{rest:0{digits}}".rstrip("0").rstrip(".")


def _find_clashes(models: Iterable[ModelFacts]) -> Iterator[Diagnostic]:
    """Yields an error for each claim of a model that an earlier model, by name, has too."""
    first: dict[tuple[str, ...], tuple[str, Claim]] = {}
    for model in sorted(models, key=lambda model: model.name):
        for claim in model.claims:
            earlier, taken = first.setdefault(claim.key, (model.name, claim))
            if taken is not claim:
                remedy = "rename one of the two"
                if claim.code is Code.ROUTE_CLASH:
                    remedy = "give one of the two another host or path"
                elif claim.key[0] == MODEL_NAME:
                    remedy = "previousName must name a model that is gone; remove one of the two"
                message = f'model "{earlier}" claims {claim.what} too ({taken.position}); {remedy}'
                yield claim.position.diagnostic(claim.code, message, model.name)


def _find_expired_waivers(model: ModelFacts, today: date) -> Iterator[Diagnostic]:
    """Yields an error for each waiver whose last day has passed, and the errors it silenced."""
    for waiver in model.waivers:
        if waiver.silenced and waiver.until < today:
            message = (
                f"the waiver of the rule {waiver.rule} ended on {waiver.until}; follow the rule, "
                "or agree on a later date"
            )
            yield waiver.until_position.diagnostic(Code.WAIVER, message, model.name)
            yield from waiver.silenced


def _find_useless_waivers(waivers: Iterable[WaiverFacts], folder: str) -> Iterator[Diagnostic]:
    """Yields an error for each waiver in `folder` that silences no error in any model."""
    needed: dict[tuple[Position, str], bool] = {}
    for waiver in waivers:
        if waiver.position.path.startswith(folder):
            key = (waiver.position, waiver.rule)
            needed[key] = needed.get(key, False) or bool(waiver.silenced)
    for (position, rule), is_needed in needed.items():
        if not is_needed:
            message = f"the waiver of the rule {rule} has no effect: nothing breaks it; remove it"
            yield position.diagnostic(Code.WAIVER, message)


def add_usages(usages: Iterable[FileUsage], *, complete: bool) -> FileUsage:
    """Adds up how several models, or several environments, use the files."""
    files: Counter[str] = Counter()
    repeats: Counter[Repeat] = Counter()
    below: dict[Repeat, tuple[Position, str]] = {}
    waivers: list[WaiverFacts] = []
    for usage in usages:
        files.update(usage.files)
        repeats.update(usage.repeats)
        for repeat, overridden in usage.below.items():
            # A profile's value may repeat another file in each model. The first by position is
            # named, so that the message does not depend on the order of planning.
            below[repeat] = min(below.get(repeat, overridden), overridden)
        waivers += usage.waivers
    return FileUsage(files, repeats, below, tuple(waivers), complete)


def _find_repeats(usage: FileUsage, folder: str) -> Iterator[Diagnostic]:
    """Yields a warning for each value in `folder` that repeats a lower layer in every model."""
    for repeat, count in usage.repeats.items():
        if repeat.position.path.startswith(folder) and count == usage.files[repeat.position.path]:
            position, value = usage.below[repeat]
            message = f"{repeat.setting} is {value} already ({position}); remove it here"
            yield repeat.position.diagnostic(Code.SAME_VALUE, message)


def _find_namespace_clashes(environments: Iterable[EnvironmentFacts]) -> Iterator[Diagnostic]:
    """Yields an error where two environments share a Namespace, at the `namespace` of the second
    by name."""
    first: dict[tuple[str, str, str], tuple[str, Position]] = {}
    for facts in sorted(environments, key=lambda facts: facts.environment):
        position = facts.namespace_position
        if facts.cluster is None or position is None:
            continue
        earlier, taken = first.setdefault(facts.cluster, (facts.environment, position))
        if taken is not position:
            _, context, namespace = facts.cluster
            message = (
                f'environment "{earlier}" has the namespace "{namespace}" of the cluster '
                f'"{context}" too ({taken}); each stack needs one of its own'
            )
            yield position.diagnostic(Code.NAME_CLASH, message)


def _find_promotion_errors(environments: Iterable[EnvironmentFacts]) -> Iterator[Diagnostic]:
    """Yields an error for each `promotesTo` that is part of a cycle."""
    targets = {facts.environment: facts.promotes_to for facts in environments}
    for facts in environments:
        chain = [facts.environment]
        while (target := targets.get(chain[-1])) and target not in chain:
            chain.append(target)
        if target == facts.environment and facts.promotes_to_position:
            cycle = " -> ".join([*chain, target])
            message = f"promotesTo leads back to this environment: {cycle}; remove one of them"
            yield facts.promotes_to_position.diagnostic(Code.PROMOTION, message)
