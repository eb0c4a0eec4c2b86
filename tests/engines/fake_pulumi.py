"""The Automation API's stack without a `pulumi` process, for previews on a cluster in memory.

Its change list is the one of `pulumi preview --refresh`, as far as objects in memory have it: what
is not recorded or not live is created, what differs from the record or from the live object is
updated, what the program no longer has is deleted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from framework.engines import cli, cli_opened_stack
from framework.engines.base import Request
from framework.engines.cli import CliEngine
from framework.engines.cli_stack import CliStack
from framework.engines.clusters import identify_cluster
from framework.engines.project import load_project
from framework.engines.urns import build_manifest_urn, build_model_urn
from framework.kube.objects import object_name, without_internal
from tests.engines.fakes import FAKE_CLI, FakeCluster

State = dict[str, Any]


class FakeAutomation:
    """The methods of the Automation API's stack that a preview calls. `up` writes nothing."""

    def __init__(self, request: Request, cluster: FakeCluster, state_file: Path) -> None:
        self._request, self._cluster, self._state_file = request, cluster, state_file

    def export_stack(self) -> SimpleNamespace:
        return SimpleNamespace(deployment={"resources": self._read()})

    def up(self, **options: Any) -> None:
        pass

    def preview(
        self, on_event: Callable[[Any], None], target: Iterable[str] = (), **options: Any
    ) -> None:
        for op, urn, old, new in self._plan(tuple(target)):
            metadata = SimpleNamespace(
                op=SimpleNamespace(value=op),
                urn=urn,
                type=urn.split("::")[2].rpartition("$")[2],
                old=old and SimpleNamespace(**old),
                new=new and SimpleNamespace(**new),
                diffs=None,
                detailed_diff=None,
            )
            events = dict.fromkeys(("res_outputs_event", "res_op_failed_event", "diagnostic_event"))
            step = SimpleNamespace(metadata=metadata)
            on_event(SimpleNamespace(timestamp=0, resource_pre_event=step, **events))

    def _read(self) -> list[State]:
        if not self._state_file.exists():
            return []
        text = self._state_file.read_text()
        assert "ciphertext" not in text, "nothing here decrypts"
        return list(json.loads(text)["checkpoint"]["latest"]["resources"])

    def _plan(
        self, targets: tuple[str, ...]
    ) -> Iterator[tuple[str, str, State | None, State | None]]:
        """Yields operation, URN, old and new state of each resource."""
        plan, project = self._request.plan, load_project(self._request.root).name
        assert plan is not None
        recorded = {raw["urn"]: raw for raw in self._read()}
        seen = set()

        def is_target(urn: str) -> bool:
            return not targets or any(fnmatchcase(urn, target) for target in targets)

        for model, manifest in plan.list_manifests():
            component = build_model_urn(plan.stack.name, project, model)
            if component and component not in seen:
                seen.add(component)
                state = {"urn": component, "parent": "", "custom": False, "inputs": {}}
                yield "same" if component in recorded else "create", component, None, state
            urn = build_manifest_urn(plan.stack.name, project, model, manifest)
            seen.add(urn)
            old, inputs = recorded.get(urn), manifest.build_inputs()
            if old is None and not is_target(urn):
                continue
            op = self._choose(old, inputs, manifest.ignore_changes) if is_target(urn) else "same"
            new = {"urn": urn, "parent": component, "custom": True, "inputs": inputs}
            yield op, urn, old, new
        for urn, old in recorded.items():
            is_object = old.get("custom") and "pulumi:providers" not in urn
            if is_object and urn not in seen and is_target(urn):
                yield "delete", urn, old, None

    def _choose(self, old: State | None, inputs: State, ignored: Iterable[str]) -> str:
        live = self._cluster.objects.get((inputs["kind"], object_name(inputs["metadata"])))
        if old is None or live is None:
            return "create"
        if "spec.replicas" in ignored:
            inputs = {**inputs, "spec": {**inputs["spec"], "replicas": live["spec"]["replicas"]}}
        declared = without_internal(old["inputs"])
        is_same = declared == inputs and inputs == {key: live.get(key) for key in inputs}
        return "same" if is_same else "update"


def build_fake_engine(
    cluster: FakeCluster, state_file: Path, monkeypatch: pytest.MonkeyPatch
) -> CliEngine:
    """Builds the CLI engine, which runs no process and reaches the cluster in memory."""

    def open_fake(_: object, request: Request) -> CliStack:
        automation = FakeAutomation(request, cluster, state_file)
        project = load_project(request.root)
        return CliStack(FAKE_CLI, project, request.stack.name, automation)

    connect = cluster.connect
    monkeypatch.setattr(CliEngine, "_open", open_fake)
    monkeypatch.setattr(cli, "check_provider_kubeconfig", lambda kubeconfig, context: None)
    monkeypatch.setattr(
        cli_opened_stack, "identify_cluster", partial(identify_cluster, connect=connect)
    )
    return CliEngine(FAKE_CLI, connect)
