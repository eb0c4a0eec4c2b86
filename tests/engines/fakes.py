"""A cluster in memory, and a small project whose programs run against it."""

from __future__ import annotations

import json
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, cast

from framework.core.changes import Change, Op, Preview, Progress, Result
from framework.core.errors import EngineError
from framework.core.stack import Stack as PulumiStack
from framework.drift import DriftReport, find_drift
from framework.engines.base import Request
from framework.engines.clusters import Connection, connect_kubernetes
from framework.engines.deletions import (
    check_deletions,
    read_exported_state,
)
from framework.engines.embedded.engine import EmbeddedEngine
from framework.engines.embedded.process import ProgramProcess
from framework.engines.pulumi_cli import PulumiCli
from framework.engines.state.checkpoint import Resource
from framework.kube.api_error import ApiError
from framework.kube.client import KindNotServedError
from framework.kube.object_diff import compare_objects
from framework.kube.objects import ObjectState, group_of, object_name
from framework.kube.ownership import RecordedNameTakenError
from framework.kube.prediction import ObjectDiff
from framework.kube.provider import KubernetesProvider
from framework.kube.reading import NAMESPACED_KINDS
from framework.kube.waiting import RolloutCounts, RolloutError, WaitStoppedError
from framework.plan import ClusterTarget, Manifest, StackPlan

EMPTY_PLAN = StackPlan(
    PulumiStack.of("dev"),
    ClusterTarget("", "", local=True),
    protect=False,
    namespace=Manifest("ns", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}}),
    models=(),
)
"""A plan of no models, for commands that need a plan."""
FAKE_CLI = PulumiCli(Path("pulumi"), "v3.274.1", "", built=False)
RECORDED = Path(__file__).parent / "recorded"
HEAD = """
import pulumi
import pulumi_kubernetes as k8s

provider = k8s.Provider("cluster", kubeconfig="kubeconfig", context="fake")


class Model(pulumi.ComponentResource):
    def __init__(self, name, opts=None):
        super().__init__("test:index:Model", name, None, opts)


def config_map(name, data=None, parent=None, object_name=None, **options):
    body = {"data": data or {}}
    return register("core/v1", "ConfigMap", name, object_name or name, body, parent, options)


def deployment(name, image="v1", parent=None, **options):
    labels = {"app": name}
    spec = {
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "model", "image": image}]},
        },
    }
    return register("apps/v1", "Deployment", name, name, {"spec": spec}, parent, options)


# Not the typed classes: each run would import their modules again, which takes a second.
def register(group, kind, name, object_name, body, parent, options):
    metadata = {"name": object_name, "namespace": "ns"}
    api_version = group.removeprefix("core/")
    inputs = {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}
    options = pulumi.ResourceOptions(provider=provider, parent=parent, **options)
    return pulumi.CustomResource(f"kubernetes:{group}:{kind}", name, inputs, options)
"""


class FakeClient:
    """A server that has no quotas, and serves no kind whose permissions could be checked."""

    def server_version(self) -> tuple[int, int]:
        return 1, 99

    def list_objects(self, api_version: str, kind: str, namespace: str = "") -> list[Any]:
        return []

    def served_kind(self, api_version: str, kind: str) -> NoReturn:
        raise KindNotServedError(api_version, kind, [])


class FakeCluster:
    """A cluster in memory, with the methods of a provider; `objects` are by kind and id.

    Rollouts of the ids in `bad` fail, writes of those in `refused` fail, and deletions of those in
    `held` never end. Writes of those in `unanswered` arrive, and a proxy answers with 504. Objects
    of the ids in `taken` are of others, and so are those in `recreated`, which have other UIDs than
    the recorded ones. `looked_at` are the ids that were read before a deletion. The kinds in
    `forbidden` may not be listed. `uids` maps other kubeconfigs to the UIDs of their clusters. The
    CLI is seen to write those in `written`. While `gate` is set and not open, rollouts wait for it.
    """

    def __init__(self) -> None:
        self.uid, self.server = "cluster-1", ""
        self.client = FakeClient()
        self.uids: dict[str, str] = {}
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.log: list[tuple[str, str]] = []
        self.bad: set[str] = set()
        self.refused: set[str] = set()
        self.unanswered: set[str] = set()
        self.held: set[str] = set()
        self.taken: set[str] = set()
        self.recreated: set[str] = set()
        self.looked_at: list[str] = []
        self.forbidden: set[str] = set()
        self.written: set[str] = set()
        self.gate: threading.Event | None = None
        self.waiting = threading.Event()
        self._lock = threading.Lock()

    def connect(self, inputs: Mapping[str, Any], root: Path) -> Connection:
        if "kubeconfig" not in inputs:
            raise EngineError("no kubeconfig")
        uid = self.uids.get(str(inputs["kubeconfig"]), self.uid)
        # The engine needs no more of a provider than these methods.
        provider = cast(KubernetesProvider, self)
        return Connection(provider, uid, str(inputs["context"]), lambda: None, self.server)

    def diff(
        self,
        urn: str,
        old: ObjectState | None,
        inputs: dict[str, Any],
        ignore_changes: Sequence[str],
    ) -> ObjectDiff:
        if old is None:
            return ObjectDiff(Op.CREATE, inputs)
        if _id(old.inputs) != _id(inputs):
            fields = compare_objects(old.inputs, inputs)
            return ObjectDiff(Op.REPLACE, inputs, fields)
        live = self.objects.get((inputs["kind"], old.id))
        if old.id in self.taken:
            raise RecordedNameTakenError(inputs)
        if live is None:
            return ObjectDiff(Op.CREATE, inputs, note="was deleted from the cluster")
        fields = compare_objects({k: live.get(k) for k in inputs}, inputs)
        selector = any(field.path.startswith("spec.selector") for field in fields)
        op = Op.REPLACE if selector else Op.UPDATE if fields else Op.SAME
        return ObjectDiff(op, {**live, **inputs}, fields, delete_first=selector, live=live)

    def find_listed(self, wanted: Mapping[str, Any]) -> dict[str, Any] | None:
        return self.objects.get((wanted["kind"], object_name(wanted["metadata"])))

    def create(
        self, urn: str, inputs: dict[str, Any], ignore_changes: Sequence[str] = ()
    ) -> ObjectState:
        return self._write("create", inputs)

    def find_own(self, urn: str, inputs: dict[str, Any]) -> ObjectState | None:
        live = self.objects.get((inputs["kind"], _id(inputs)))
        outputs = {**(live or {}), "__fieldManager": "fake", "__inputs": inputs}
        return None if live is None else ObjectState(_id(inputs), inputs, outputs)

    def update(
        self, urn: str, old: ObjectState, inputs: dict[str, Any], ignore_changes: Sequence[str]
    ) -> ObjectState:
        return self._write("update", inputs)

    def diff_adopted(
        self, urn: str, inputs: dict[str, Any], ignore_changes: Sequence[str], *, forced: bool
    ) -> ObjectDiff:
        return ObjectDiff(Op.UPDATE, inputs, note="taken over", takes_over=True)

    def adopt(
        self, urn: str, inputs: dict[str, Any], ignore_changes: Sequence[str], uid: str
    ) -> ObjectState:
        self.taken.discard(_id(inputs))
        return self._write("adopt", inputs)

    def _write(self, verb: str, inputs: dict[str, Any]) -> ObjectState:
        id_ = _id(inputs)
        if id_ in self.refused:
            raise ApiError(id_, 422, "Invalid", "is invalid")
        with self._lock:
            self.log.append((verb, f"{inputs['kind']} {id_}"))
            self.objects[inputs["kind"], id_] = {**inputs, "status": {"seen": True}}
        if id_ in self.unanswered:
            raise ApiError(id_, 504, "", "gateway timeout")
        outputs = {**inputs, "__fieldManager": "fake", "__inputs": inputs}
        return ObjectState(id_, inputs, outputs)

    def wait(
        self,
        state: ObjectState,
        *,
        timeout_s: float,
        on_counts: Callable[[RolloutCounts], None],
        stop: threading.Event,
    ) -> ObjectState:
        if state.inputs["kind"] != "Deployment":
            return state
        self.waiting.set()
        while self.gate is not None and not self.gate.wait(0.05):
            if stop.is_set():
                raise WaitStoppedError(state.id)
        if state.id in self.bad:
            raise RolloutError(state.id, "did not roll out", "ImagePullBackOff on Pod x")
        on_counts(RolloutCounts(1, 1, 1, 1))
        return state

    def wait_for_write(self, known: ObjectState, stop: threading.Event) -> ObjectState | None:
        # For all others, the CLI ends before its write is observed.
        if known.id in self.written:
            return known
        stop.wait()
        return None

    def read(self, state: ObjectState, *, listed: bool = False) -> ObjectState | None:
        live = self.objects.get((state.inputs["kind"], state.id))
        kept = {k: v for k, v in state.outputs.items() if k.startswith("__")}
        return None if live is None else replace(state, outputs={**live, **kept})

    def find_replacement(self, state: ObjectState, *, listed: bool = False) -> None:
        return None

    def find_recreated(self, state: ObjectState, *, listed: bool = False) -> dict[str, Any] | None:
        with self._lock:
            self.looked_at.append(state.id)
        return self.find_listed(state.inputs) if state.id in self.recreated else None

    def find_served_version(self, group: str, kind: str) -> str:
        return ""

    def list_namespaced_kinds(self) -> tuple[dict[tuple[str, str], str], list[str]]:
        served = {kind: live["apiVersion"] for (kind, _), live in self.objects.items()}
        served |= {**NAMESPACED_KINDS, **dict.fromkeys(self.forbidden, "example.com/v1")}
        return {(group_of(version), kind): version for kind, version in served.items()}, []

    def list_kind(
        self, api_version: str, kind: str, namespace: str, *, metadata_only: bool
    ) -> list[dict[str, Any]]:
        if kind in self.forbidden:
            raise ApiError(kind, 403, "Forbidden", "may not be listed")
        return [
            {**live, "metadata": {"uid": f"uid-{kind}-{id_}", **live["metadata"]}}
            for (found, id_), live in sorted(self.objects.items())
            if found == kind and id_.startswith(f"{namespace}/")
        ]

    def delete(
        self,
        state: ObjectState,
        *,
        timeout_s: float,
        on_blocked: Callable[[str], None],
        stop: threading.Event,
    ) -> None:
        if state.id in self.refused:
            raise ApiError(state.id, 403, "Forbidden", "may not go")
        if state.id in self.held:
            on_blocked("finalizer example.com/hold")
            self.waiting.set()
            assert stop.wait(10)
            raise WaitStoppedError(state.id)
        with self._lock:
            self.log.append(("delete", f"{state.inputs['kind']} {state.id}"))
            self.objects.pop((state.inputs["kind"], state.id), None)

    def ids(self) -> list[str]:
        return sorted(f"{kind} {id_}" for kind, id_ in self.objects)


class SharedProgram:
    """Shares one program's process among the tests, because loading Pulumi takes long."""

    def __init__(self) -> None:
        self._process: ProgramProcess | None = None

    @contextmanager
    def start(self, root: Path) -> Iterator[ProgramProcess]:
        if self._process is None or self._process.has_ended:
            self._process = ProgramProcess(RECORDED)
        try:
            yield self._process
        except KeyboardInterrupt:
            # The program's run is not over, and the next one would read its report.
            self._process.end()
            raise

    def end(self) -> None:
        if self._process is not None:
            self._process.end()


def _id(inputs: Mapping[str, Any]) -> str:
    return object_name(inputs["metadata"])


class Stack:
    """A project in a folder of its own, an engine for it, and the progress of its runs."""

    def __init__(
        self, root: Path, engine: EmbeddedEngine, cluster: FakeCluster, namespace: str = "ns"
    ) -> None:
        self.root, self.engine, self.cluster = root, engine, cluster
        self.namespace = namespace
        self.project = "test" if namespace == "ns" else "fixture"
        self.progress: list[Progress] = []

    def program(self, body: str) -> None:
        (self.root / "__main__.py").write_text(HEAD + textwrap.dedent(body))

    def request(self, *components: str) -> Request:
        return Request(self.root, PulumiStack.of("dev"), frozenset(components) or None)

    def preview(self, *components: str) -> Preview:
        return self.engine.preview(self.request(*components))

    def up(self, *components: str) -> Result:
        result = self.engine.up(self.request(*components), lambda _: True, self.progress.append)
        assert result is not None
        return result

    def destroy(self) -> Result:
        result = self.engine.destroy(self.request(), lambda _: True, self.progress.append)
        assert result is not None
        return result

    def preview_destroy(self) -> Preview:
        """Returns what `destroy` shows before it deletes anything."""
        shown: list[Preview] = []

        def refuse(preview: Preview) -> bool:
            shown.append(preview)
            return False

        assert self.engine.destroy(self.request(), refuse, self.progress.append) is None
        return shown[0]

    def refresh(self) -> Result:
        result = self.engine.refresh(self.request(), lambda _: True, self.progress.append)
        assert result is not None
        return result

    def drift(self, request: Request | None = None) -> DriftReport:
        request = request or self.request()
        is_fake = self.namespace == "ns"
        connect = self.cluster.connect if is_fake else connect_kubernetes
        return find_drift(request, self.engine.recorded_objects(request), connect)

    def config(self, **values: str) -> None:
        lines = "".join(f"  fixture:{key}: '{value}'\n" for key, value in values.items())
        (self.root / "Pulumi.dev.yaml").write_text(f"config:\n{lines}")

    @property
    def resources(self) -> list[dict[str, Any]]:
        document = json.loads(self.state_file.read_text())
        return list(document["checkpoint"]["latest"]["resources"])

    @property
    def state_file(self) -> Path:
        return self.root / ".state/.pulumi/stacks" / self.project / "dev.json"


def ops(found: Preview | Result) -> dict[str, str]:
    """Returns the operations that change something, by `Kind name`."""
    return {
        f"{change.kind} {change.name}": change.op.value
        for change in found.changes
        if change.op is not Op.SAME
    }


def check_changes(
    changes: Iterable[Change],
    resources: Sequence[Resource],
    cluster: FakeCluster | KubernetesProvider,
    *,
    refuses_lost: bool = True,
) -> Preview:
    """Returns what the CLI engine's check of deletions makes of a preview with these changes."""

    def connect(provider_urn: str) -> Connection:
        # Of the providers only `other` is of another cluster, and only the CLI can use `inline`.
        if provider_urn.endswith("::inline"):
            raise EngineError("inline kubeconfig")
        uid = "cluster-2" if provider_urn.endswith("::other") else "cluster-1"
        return Connection(cast(KubernetesProvider, cluster), uid, "fake", lambda: None)

    checked = check_deletions(
        Preview(tuple(changes)),
        resources,
        {},
        read_exported_state,
        connect,
        refuses_lost=refuses_lost,
        by_cli=True,
    )
    return checked.preview
