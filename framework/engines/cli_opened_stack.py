"""A stack of the pulumi CLI with what is recorded of it, as a command finds it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from framework.core.changes import Result
from framework.core.errors import EngineError, FrameworkError
from framework.engines.base import OnProgress, RecordedObjects, Request
from framework.engines.cli_arguments import fit_urns
from framework.engines.cli_events import BUILT_PROVIDER_MESSAGES, EventReader
from framework.engines.cli_stack import CliStack, describe_lost_inputs
from framework.engines.clusters import IdentityCheck, identify_cluster, open_stack_record
from framework.engines.kept_replicas import KeptReplicas
from framework.engines.recorded import Components, build_recorded_objects, summarize_resources
from framework.engines.state.checkpoint import Checkpoint, Resource, read_stack_outputs
from framework.engines.state.secrets import read_plaintext
from framework.engines.urns import build_manifest_urn, list_model_urns

if TYPE_CHECKING:
    from framework.plan import StackPlan


@dataclass(frozen=True)
class OpenedStack:
    """A stack of the CLI, the request that works on it, and what is recorded of it.

    `kept_replicas` are those of Deployments that an `up` has deleted to create them again.
    `remember_cluster` records the cluster that the environment names. It takes the resources that
    are recorded now: before the first deployment there was no provider.
    `is_settled_in_memory` is True if `checkpoint` has what an interrupted command has done, but the
    state of the CLI does not, because nothing was written yet.
    """

    stack: CliStack
    request: Request
    checkpoint: Checkpoint
    kept_replicas: KeptReplicas
    remember_cluster: Callable[[Iterable[Resource]], None] = lambda resources: None
    is_settled_in_memory: bool = False

    @cached_property
    def recorded(self) -> RecordedObjects:
        """The recorded objects that the request works on."""
        return build_recorded(self.resources, self.request)

    @property
    def plan(self) -> StackPlan:
        """The plan, which the commands that run the program have."""
        assert self.request.plan is not None
        return self.request.plan

    @cached_property
    def planned_urns(self) -> frozenset[str]:
        """The URNs of the objects and components of the plan."""
        plan, project = self.plan, self.stack.project.name
        namespace = build_manifest_urn(plan.stack.name, project, "", plan.namespace)
        return frozenset({namespace, *(urn for urn, _ in list_model_urns(plan, project))})

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The resources that were recorded when the stack was opened."""
        return self.checkpoint.resources

    @property
    def outputs(self) -> Mapping[str, Any]:
        """The outputs that were recorded when the stack was opened, secrets redacted."""
        return read_stack_outputs(self.resources)

    def record_cluster(self) -> tuple[Resource, ...]:
        """Records the cluster; returns the resources as they are recorded now."""
        exported = self.stack.export_checkpoint().resources
        self.remember_cluster(exported)
        return exported

    def forget_replicas(self, resources: Iterable[Resource], result: Result) -> Result:
        """Forgets the replicas that are not needed after an `up` or `destroy`; adds warnings.

        `resources` are those that are recorded now.
        """
        has_failed = bool(result.failures)
        warnings = self.kept_replicas.end_command(self.request, resources, has_failed=has_failed)
        return replace(result, messages=(*result.messages, *warnings))

    @contextmanager
    def restoring_inputs(self, recreated: Collection[str] = ()) -> Iterator[None]:
        """Restores the recorded inputs after a refresh, also after one that ended early.

        `recreated` as for `CliStack.restore_inputs`. EngineError, with the error that ended the
        refresh, if that is impossible.
        """
        error: BaseException | None = None
        try:
            yield
        except (KeyboardInterrupt, FrameworkError) as exc:
            error = exc
        try:
            self.stack.restore_inputs(self.resources, recreated)
        except FrameworkError as exc:
            texts = [str(error) or "interrupted"] if error else []
            texts.append(describe_lost_inputs(exc))
            raise EngineError("\n".join(texts)) from exc
        if error is not None:
            raise error

    def build_components(self) -> Components:
        """Builds the recorded components, with those of the request as targets."""
        return _build_components(self.resources, self.request)

    def list_urns(self, urns: Iterable[str]) -> list[str]:
        """Returns URNs as the options `target` and `exclude` take them.

        The CLI refuses a URN that is neither recorded nor registered, unless it is a pattern. With
        `--refresh` it drops the record of an object that is gone, and only the program of the plan
        registers it again. So the name of the stack, which all URNs have, becomes a pattern that
        matches only this stack, except in the URNs that are recorded and planned.
        """
        recorded = {resource.urn for resource in self.resources}
        literal = set() if self.is_settled_in_memory else recorded & self.planned_urns
        urns = tuple(urns)
        arguments = [urn if urn in literal else urn.replace("::", "*::", 1) for urn in urns]
        return fit_urns(arguments, recorded.union(self.planned_urns, urns))

    def build_target(self, urns: Iterable[str] | None) -> dict[str, Any]:
        """Returns the `target` option; none for the whole stack."""
        return {} if urns is None else {"target": self.list_urns(urns)}

    def read_events(
        self, on_progress: OnProgress | None = None, *, components: Components | None = None
    ) -> EventReader:
        """Returns a reader for the events of one command, or of several that belong together.

        By default it has the recorded components: without `--refresh`, the events lack the
        resources that are recorded under the former name of a renamed model.
        """
        if components is None:
            components = Components(recorded=self.resources)
        ignored = BUILT_PROVIDER_MESSAGES if self.stack.cli.built else None
        secrets = {text for found in self.recorded.objects for text in found.secrets}
        return EventReader(on_progress, ignored=ignored, components=components, secrets=secrets)


def read_stack(
    stack: CliStack, request: Request, *, accepts_recreated: bool = False
) -> OpenedStack:
    """Reads what is recorded. ClusterError if the environment names another cluster."""
    checkpoint = stack.export_checkpoint()
    record = open_stack_record(request.root, request.stack)
    opened = OpenedStack(stack, request, checkpoint, KeptReplicas(record))
    if request.cluster is None:
        return opened
    summary = summarize_resources(checkpoint.resources)
    check = IdentityCheck(
        request.stack,
        summary.providers,
        record,
        partial(identify_cluster, root=request.root),
        has_objects=summary.objects > 0,
        accepts_recreated=accepts_recreated,
    )
    reached = identify_cluster(asdict(request.cluster), request.root)
    # With several providers, it is unknown which one the environment means.
    if len(summary.providers) == 1:
        check.check(next(iter(summary.providers)), reached)

    def remember_cluster(exported: Iterable[Resource]) -> None:
        providers = summarize_resources(exported).providers
        if len(providers) == 1:
            check.remember(next(iter(providers)), reached)

    return replace(opened, remember_cluster=remember_cluster)


def build_recorded(resources: Sequence[Resource], request: Request) -> RecordedObjects:
    """Builds the recorded objects that a request works on."""
    components = _build_components(resources, request)
    return build_recorded_objects(resources, components, read_plaintext)


def _build_components(resources: Sequence[Resource], request: Request) -> Components:
    return Components(request.components, resources, request.former_components)
