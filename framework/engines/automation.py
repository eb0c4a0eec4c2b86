"""The real pulumi CLI as an engine, driven by the official Automation API.

Kept apart from the embedded engine: it decides nothing itself, and tells in our words what the CLI
does. The Automation API's own stack-settings methods look in the project's root and not where
`stackConfigDir` says, so none of them is used here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from framework.core.changes import Preview, Result
from framework.core.errors import EngineError, StateError, UnknownNameError
from framework.core.redaction import REDACTED
from framework.engines.base import Confirm, OnProgress, Recorded, Request
from framework.engines.embedded.backend import FileBackend, open_backend
from framework.engines.embedded.clusters import identify_cluster
from framework.engines.embedded.project import load_project
from framework.engines.engine_events import EventReader
from framework.engines.identity import IdentityCheck
from framework.engines.recorded import read_recorded

# On two cores the CLI's default is 8, and the provider waits ten seconds after every Service.
PARALLEL = 128
_PASSPHRASE = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")
_LAST_LINES = 12


class AutomationEngine:
    """Runs `pulumi` for every operation; refreshes first, so that drift is put back."""

    name = "cli"

    def preview(self, request: Request) -> Preview:
        """What `pulumi up --refresh` would change."""
        stack, _ = self._open_checked(request)
        return self._preview(stack, self._targets(stack, request))

    def up(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """`pulumi up --refresh --continue-on-error`, after a preview that is confirmed."""
        stack, remember = self._open_checked(request)
        targets = self._targets(stack, request)
        preview = self._preview(stack, targets)
        if preview.clean:
            remember()
            return Result(preview.changes, outputs=self.outputs(request), messages=preview.messages)
        if not confirm(preview):
            return None
        # Before the first write: a run that is killed leaves objects on this cluster.
        remember()
        reader = EventReader(on_progress)
        _call(
            stack.up,
            reader,
            parallel=PARALLEL,
            refresh=True,
            continue_on_error=True,
            **targets,
        )
        # The first deployment has recorded its provider only now.
        remember()
        return _result(reader, self.outputs(request))

    def refresh(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """`pulumi refresh`, after a preview that is confirmed."""
        stack, remember = self._open_checked(request, accepts_made_again=True)
        targets = self._targets(stack, request)
        preview = self._look(stack, targets)
        if preview.clean:
            return Result(preview.changes, outputs=self.outputs(request), messages=preview.messages)
        if not confirm(preview):
            return None
        reader = EventReader(on_progress, refreshing=True)
        _call(stack.refresh, reader, parallel=PARALLEL, **targets)
        remember()
        return _result(reader, self.outputs(request))

    def drift(self, request: Request) -> Preview:
        """`pulumi refresh --preview-only`: writes nothing."""
        stack, _ = self._open_checked(request)
        return self._look(stack, self._targets(stack, request))

    def destroy(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """`pulumi destroy`, after a preview that is confirmed."""
        stack, _ = self._open_checked(request)
        targets = self._targets(stack, request)
        reader = EventReader()
        _call(stack.preview_destroy, reader, parallel=PARALLEL, **targets)
        _refuse_failures(reader)
        preview = Preview(reader.changes, reader.outputs, reader.messages)
        if preview.clean:
            return Result((), messages=preview.messages)
        if not confirm(preview):
            return None
        reader = EventReader(on_progress)
        _call(stack.destroy, reader, parallel=PARALLEL, continue_on_error=True, **targets)
        return _result(reader, {})

    def outputs(self, request: Request) -> Mapping[str, Any]:
        """The recorded outputs, secrets masked."""
        values = _run(lambda: self._open(request).outputs())
        return {
            name: REDACTED if output.secret else output.value
            for name, output in sorted(values.items())
        }

    def recorded(self, request: Request) -> Recorded:
        """What is recorded of the stack."""
        return _read_recorded(self._open(request))

    def _open_checked(
        self, request: Request, *, accepts_made_again: bool = False
    ) -> tuple[Any, Callable[[], None]]:
        """The stack, once the cluster its environment names is known to be the recorded one; and
        what records the cluster. ClusterError for another cluster."""
        stack = self._open(request)
        if request.cluster is None:
            return stack, lambda: None
        recorded = _read_recorded(stack)
        check = IdentityCheck(
            request.stack,
            recorded.providers,
            _cluster_record(request),
            partial(identify_cluster, root=request.root),
            has_objects=recorded.objects > 0,
            accepts_made_again=accepts_made_again,
        )
        found = identify_cluster(asdict(request.cluster), request.root)
        # Of several providers it is not known which one the environment means.
        if len(recorded.providers) == 1:
            check.check(next(iter(recorded.providers)), found)

        def remember() -> None:
            providers = recorded.providers or _read_recorded(stack).providers
            if len(providers) == 1:
                check.remember(next(iter(providers)), found)

        return stack, remember

    def _open(self, request: Request) -> Any:
        from pulumi import automation

        if all(os.environ.get(name) is None for name in _PASSPHRASE):
            raise StateError(
                "the pulumi CLI needs a passphrase for the file backend, even without secrets; "
                f"set {' or '.join(_PASSPHRASE)} and run again"
            )
        options = automation.LocalWorkspaceOptions(
            env_vars={"PULUMI_SKIP_UPDATE_CHECK": "true"},
            pulumi_home=os.environ.get("PULUMI_HOME"),
        )
        return _run(
            lambda: automation.create_or_select_stack(
                stack_name=request.stack.name, work_dir=str(request.root), opts=options
            )
        )

    def _preview(self, stack: Any, targets: Mapping[str, Any]) -> Preview:
        reader = EventReader()
        _call(stack.preview, reader, parallel=PARALLEL, refresh=True, **targets)
        _refuse_failures(reader)
        return Preview(reader.changes, reader.outputs, reader.messages)

    def _look(self, stack: Any, targets: Mapping[str, Any]) -> Preview:
        reader = EventReader(refreshing=True)
        _call(stack.preview_refresh, reader, parallel=PARALLEL, **targets)
        _refuse_failures(reader)
        return Preview(reader.changes, reader.outputs, reader.messages)

    def _targets(self, stack: Any, request: Request) -> dict[str, Any]:
        """The URNs of the components and of all below them, found by a preview of everything.

        Dependents are not among them: a model further down the same lane is not asked for.
        """
        if request.components is None:
            return {}
        reader = EventReader()
        _call(stack.preview, reader, parallel=PARALLEL)
        for name in sorted(request.components - reader.components):
            raise UnknownNameError("component", name, reader.components)
        return {"target": reader.within(request.components)}


def _read_recorded(stack: Any) -> Recorded:
    deployment = _run(stack.export_stack).deployment or {}
    return read_recorded(deployment.get("resources") or ())


def _cluster_record(request: Request) -> FileBackend | None:
    """Where the stack's clusters are recorded; None for a backend that is not a folder."""
    project = load_project(request.root)
    is_folder = project.backend_url.startswith("file://")
    return open_backend(project, request.stack.name) if is_folder else None


def _call(operation: Callable[..., Any], reader: EventReader, **options: Any) -> None:
    """Run an operation; what failed of single resources is in the reader, the rest raises."""
    try:
        _run(lambda: operation(on_event=lambda event: reader.read(_as_json(event)), **options))
    except EngineError:
        if not reader.failures:
            raise


def _run(action: Callable[[], Any]) -> Any:
    from pulumi.automation import errors

    try:
        return action()
    except errors.ConcurrentUpdateError as exc:
        raise StateError(
            f"the stack is locked by another command: {_last_lines(exc)}\n"
            "wait for it, or, if it is dead, run `pulumi cancel`"
        ) from exc
    except errors.CommandError as exc:
        raise EngineError(f"pulumi failed: {_last_lines(exc)}") from exc


def _last_lines(exc: Exception) -> str:
    return "\n".join(str(exc).strip().splitlines()[-_LAST_LINES:])


def _refuse_failures(reader: EventReader) -> None:
    if reader.failures:
        listed = "\n".join(f"{f.change.urn}: {f.reason}" for f in reader.failures)
        raise EngineError(
            f"{listed}\nNothing was changed; mend it, then run the same command again"
        )


def _result(reader: EventReader, outputs: Mapping[str, Any]) -> Result:
    return Result(reader.changes, reader.failures, outputs, reader.seconds, reader.messages)


def _as_json(event: Any) -> dict[str, Any]:
    """An event of the Automation API in the shape of an event log, which the reader knows."""
    parts = {
        "resourcePreEvent": event.resource_pre_event,
        "resOutputsEvent": event.res_outputs_event,
        "resOpFailedEvent": event.res_op_failed_event,
    }
    found: dict[str, Any] = {"timestamp": event.timestamp}
    for name, part in parts.items():
        if part is not None:
            found[name] = {
                "metadata": _step(part.metadata),
                "status": getattr(part, "status", 0),
            }
    said = event.diagnostic_event
    if said is not None:
        found["diagnosticEvent"] = {
            "severity": said.severity,
            "message": said.message,
            "urn": said.urn,
        }
    return found


def _step(metadata: Any) -> dict[str, Any]:
    return {
        "op": metadata.op.value,
        "urn": metadata.urn,
        "type": metadata.type,
        "old": _state(metadata.old),
        "new": _state(metadata.new),
        "diffs": metadata.diffs,
        "detailedDiff": metadata.detailed_diff,
    }


def _state(state: Any) -> dict[str, Any] | None:
    if state is None:
        return None
    names = ("parent", "custom", "inputs", "outputs")
    return {name: getattr(state, name, None) for name in names}
