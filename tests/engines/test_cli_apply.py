"""One `up` of the CLI engine: its lock, its runs, and the rollouts that it waits for.

The stack of the Automation API is a fake that reports Deployments as done, as the CLI does once the
minimum of their Pods is available.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from framework.core.changes import Change, Op, Preview, Progress, Result
from framework.core.errors import EngineError, StateError
from framework.core.stack import Stack
from framework.engines.base import RecordedObject, RecordedObjects, Request
from framework.engines.cli_apply import CliApply
from framework.engines.cli_deletions import HeldDeletions, find_held_deletions
from framework.engines.cli_events import EventReader
from framework.engines.cli_lock import StackLock
from framework.engines.cli_opened_stack import OpenedStack
from framework.engines.cli_preview import CliPreview
from framework.engines.cli_stack import CliStack
from framework.engines.cli_steps import CliStep, PreCliWriter
from framework.engines.embedded.planner import UNFINISHED
from framework.engines.kept_replicas import KeptReplicas
from framework.engines.project import Project, load_project
from framework.engines.recorded import Components
from framework.engines.state.backend import FileBackend, open_backend
from framework.engines.state.checkpoint import Checkpoint
from framework.engines.state.stack_state import StackState
from framework.engines.urns import STACK_TYPE
from framework.engines.values import UNKNOWN
from framework.kinds.kind import Manifest
from framework.kube.provider import KubernetesProvider
from tests.engines.fakes import EMPTY_PLAN, FAKE_CLI, FakeCluster

MODEL_TYPE = "test:index:Model"
PASSWORD = "random:index/randomPassword:RandomPassword"
PREFIX = "urn:pulumi:dev::test::"
STACK_URN = f"{PREFIX}{STACK_TYPE}::test-dev"
AUTOSCALER = "autoscaling/v2:HorizontalPodAutoscaler"
WRITE_BEFORE_CLI = PreCliWriter.run
FAILS = "fails:"


def build_urn(model: str, kind: str = "apps/v1:Deployment") -> str:
    return f"{PREFIX}{MODEL_TYPE}$kubernetes:{kind}::{model}"


def build_step(name: str, op: Op = Op.UPDATE, model: str = "") -> CliStep:
    """Builds the step of a Deployment, of the model of the same name by default."""
    metadata = {"name": name, "namespace": "ns"}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}
    manifest = Manifest(name, body)
    urn, type_ = build_urn(name), "kubernetes:apps/v1:Deployment"
    change = Change(urn, type_, name, op, object=f"ns/{name}", component=model or name)
    return CliStep(change, manifest, None, op)


def list_locks(backend: FileBackend) -> list[Path]:
    return list(backend.lock_folder.glob("*.json"))


class _SignallingLock(StackLock):
    """A lock that sets `ended` when a run of the CLI is over and the lock is taken again."""

    def __init__(self, project: Project, stack: str, ended: threading.Event) -> None:
        super().__init__(project, stack)
        self._ended = ended

    @contextmanager
    def released(self) -> Iterator[None]:
        with super().released():
            yield
        self._ended.set()


@dataclass
class World:
    """A project with a recorded state, and the runs of its CLI.

    Each run is the list of the models whose Deployments it reports as done, or an error after them.
    With `FAILS` before its name, a Deployment fails once `shown` is set, and so does a deletion.
    """

    root: Path
    cluster: FakeCluster
    steps: list[CliStep]
    runs: list[Any]
    progress: list[Progress] = field(default_factory=list)
    on_progress: Callable[[Progress], object] = lambda progress: None
    calls: list[Mapping[str, Any]] = field(default_factory=list)
    in_run: Callable[[], object] = lambda: None
    ended: threading.Event = field(default_factory=threading.Event)
    shown: threading.Event = field(default_factory=threading.Event)
    # The old objects of replacements, and whether their URNs have new ones that need no change.
    pending: list[Change] = field(default_factory=list)
    is_replaced: bool = False
    # Recorded resources that are not of Kubernetes, with their inputs.
    others: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: StackLock = field(init=False)
    # Recorded objects that the plan no longer has, and by URN what recorded objects depend on.
    gone: list[Change] = field(default_factory=list)
    needs: dict[str, list[str]] = field(default_factory=dict)

    @property
    def backend(self) -> FileBackend:
        return open_backend(load_project(self.root), "dev")

    def write_state(
        self,
        outputs: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Writes the state; `outputs` are those of the Stack, `inputs` those of each object."""
        stack = {"urn": STACK_URN, "custom": False, "type": STACK_TYPE, "outputs": outputs or {}}
        resources: list[dict[str, Any]] = [stack]
        for model in dict.fromkeys(step.change.component for step in self.steps):
            component = f"{PREFIX}{MODEL_TYPE}::{model}"
            resources.append({"urn": component, "custom": False, "type": MODEL_TYPE})
        for step in self.steps:
            change = step.change
            component = f"{PREFIX}{MODEL_TYPE}::{change.component}"
            raw = {"urn": change.urn, "custom": True, "type": change.type, "id": change.object}
            raw |= {"inputs": inputs or {}, "outputs": {"__inputs": inputs or {}}}
            resources.append({**raw, "parent": component, "provider": ""})
        for name, declared in self.others.items():
            raw = {"urn": f"{PREFIX}{PASSWORD}::{name}", "custom": True, "type": PASSWORD}
            resources.append({**raw, "id": "none", "inputs": declared, "outputs": {}})
        for change in self.gone:
            component = f"{PREFIX}{MODEL_TYPE}::{change.component}"
            raw = {"urn": change.urn, "custom": True, "type": change.type, "id": change.object}
            raw |= {"inputs": {}, "outputs": {"__inputs": {}}, "provider": ""}
            resources.append({**raw, "parent": component if change.component else ""})
        for change in self.pending:
            component = f"{PREFIX}{MODEL_TYPE}::{change.component}"
            raw = {"urn": change.urn, "custom": True, "type": change.type, "parent": component}
            raw |= {"inputs": {}, "outputs": {"__inputs": {}}, "provider": ""}
            if self.is_replaced:
                resources.append({**raw, "id": f"{change.object}-new"})
            resources.append({**raw, "id": change.object, "delete": True})
        for raw in resources:
            raw["dependencies"] = self.needs.get(str(raw["urn"]), [])
        latest = {"manifest": {}, "resources": resources}
        document = {"version": 3, "checkpoint": {"stack": "dev", "latest": latest}}
        path = self.backend.checkpoint_path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))

    def _list_planned_urns(self) -> Iterator[str]:
        for step in self.steps:
            yield from (step.change.urn, f"{PREFIX}{MODEL_TYPE}::{step.change.component}")

    def read_outputs(self) -> Mapping[str, Any]:
        """Returns the recorded outputs of the Stack, as they are in the file."""
        document = json.loads(self.backend.checkpoint_path.read_text())
        outputs: Mapping[str, Any] = document["checkpoint"]["latest"]["resources"][0]["outputs"]
        return outputs

    def read_errors(self) -> dict[str, list[str]]:
        """Returns the recorded reasons why Deployments are not ready, by model."""
        document = json.loads(self.backend.checkpoint_path.read_text())
        return {
            raw["urn"].rpartition("::")[2]: raw["initErrors"]
            for raw in document["checkpoint"]["latest"]["resources"]
            if raw.get("initErrors")
        }

    def read_inputs(self) -> dict[str, tuple[Any, Any]]:
        """Returns the recorded inputs of the Deployments, and their copies, by model."""
        document = json.loads(self.backend.checkpoint_path.read_text())
        return {
            raw["urn"].rpartition("::")[2]: (raw["inputs"], raw.get("outputs", {}).get("__inputs"))
            for raw in document["checkpoint"]["latest"]["resources"]
            if raw["custom"]
        }

    def drop_records(self, *urns: str) -> None:
        """Removes the records of objects that a run has deleted."""
        document = json.loads(self.backend.checkpoint_path.read_text())
        latest = document["checkpoint"]["latest"]
        latest["resources"] = [raw for raw in latest["resources"] if raw["urn"] not in urns]
        self.backend.checkpoint_path.write_text(json.dumps(document))

    def read_checkpoint(self) -> Checkpoint:
        """Returns the state as an export has it."""
        state = StackState(load_project(self.root), self.backend).get_current()
        pending = [found for found in state.resources if found.pending_delete]
        return Checkpoint("dev", (*state.live.values(), *pending))

    def show(self, progress: Progress) -> None:
        self.progress.append(progress)
        self.on_progress(progress)

    def run(self, command: str, reader: EventReader, **options: Any) -> None:
        """Stands for `CliStack.run`."""
        self.ended.clear()
        self.calls.append(options)
        with self.lock.released():
            self._run(reader)

    def _run(self, reader: EventReader) -> None:
        # `pulumi up` takes the lock itself.
        assert not list_locks(self.backend)
        for item in self.runs.pop(0):
            if isinstance(item, BaseException):
                raise item
            if callable(item):
                item()
                continue
            name = item.removeprefix(FAILS)
            ops = {step.change: step.cli_op for step in self.steps}
            ops |= {change: change.op for change in self.gone}
            change = next(change for change in ops if change.name == name)
            parent = f"{PREFIX}{MODEL_TYPE}::{change.component}" if change.component else ""
            state = {"parent": parent, "custom": True, "inputs": {}}
            metadata = {"op": ops[change].value, "urn": change.urn, "type": change.type}
            event = {"metadata": {**metadata, "old": state, "new": state}}
            reader.read({"resourcePreEvent": event})
            if name == item:
                reader.read({"resOutputsEvent": event})
                continue
            assert self.shown.wait(10)
            text = f"[Pod ns/{name}-1]: ImagePullBackOff of the CLI"
            diagnostic = {"severity": "warning", "urn": change.urn, "message": text}
            reader.read({"diagnosticEvent": diagnostic})
            reader.read({"resOpFailedEvent": {**event, "status": 1}})
        self.in_run()

    def apply(
        self,
        *,
        waits: Mapping[str, tuple[str, ...]] | None = None,
        changes: Iterable[Change] = (),
        recorded: Iterable[RecordedObject] = (),
        targets: frozenset[str] | None = None,
    ) -> Result:
        project = load_project(self.root)
        self.lock = _SignallingLock(project, "dev", self.ended)
        stack = CliStack(FAKE_CLI, project, "dev", None)
        fake = SimpleNamespace(
            cli=FAKE_CLI,
            run=self.run,
            project=project,
            lock=self.lock,
            record_failed=stack.record_failed,
            export_checkpoint=self.read_checkpoint,
        )
        objects = RecordedObjects(tuple(recorded), {})
        request = Request(self.root, Stack.of("dev"), plan=EMPTY_PLAN)
        opened = OpenedStack(
            cast(CliStack, fake), request, self.read_checkpoint(), KeptReplicas(self.backend)
        )
        # There is no plan here, and the state lacks what the engine reads of an object.
        vars(opened)["recorded"] = objects
        vars(opened)["planned_urns"] = frozenset(self._list_planned_urns())
        components = Components()
        for step in self.steps:
            parent = f"{PREFIX}{MODEL_TYPE}::{step.change.component}"
            components.add(parent, "", is_component=True)
        all_changes = (*(step.change for step in self.steps), *changes, *self.gone, *self.pending)
        for change in all_changes:
            parent = f"{PREFIX}{MODEL_TYPE}::{change.component}"
            if change.urn != parent:
                components.add(change.urn, parent, is_component=False)
        reader, preview = EventReader(components=components), Preview(all_changes)
        previewed = CliPreview(opened, reader, preview, tuple(self.steps), waits or {}, targets)
        provider = cast(KubernetesProvider, self.cluster)
        # It records a failure under the same lock.
        vars(stack)["lock"] = self.lock
        with self.lock:
            return CliApply(previewed, provider, self.show).run()


@pytest.fixture
def puts_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the engine put back what others changed, which the other tests leave out."""
    monkeypatch.setattr(PreCliWriter, "run", WRITE_BEFORE_CLI)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    (tmp_path / "Pulumi.yaml").write_text(
        "name: test\nruntime: python\nbackend: {url: 'file://./.state'}\n"
    )
    # The CLI updates everything here: nothing is put back.
    monkeypatch.setattr(PreCliWriter, "run", lambda self, steps: None)
    world = World(tmp_path, FakeCluster(), [build_step("a"), build_step("b")], [["a", "b"]])
    for step in world.steps:
        world.cluster.objects["Deployment", step.manifest.id] = step.manifest.object
    world.write_state()
    return world


# What is recorded


def test_deployments_are_done_once_their_pods_are(world: World) -> None:
    result = world.apply()
    assert not result.failures
    assert not result.messages
    assert world.read_errors() == {}
    assert [item.change.name for item in world.progress if item.state == "done"] != []


def test_failed_rollout_is_recorded_with_its_reason(world: World) -> None:
    world.cluster.bad = {"ns/a"}
    [failure] = world.apply().failures
    assert failure.rollout
    assert world.read_errors() == {"a": [failure.reason]}


def test_rollout_that_the_cli_waits_for_is_shown_with_the_reason_why_it_fails(
    world: World,
) -> None:
    world.cluster.bad = world.cluster.written = {"ns/a"}
    world.runs = [[f"{FAILS}a", "b"]]

    def note(progress: Progress) -> None:
        if progress.state == "rolling" and "ImagePullBackOff" in progress.message:
            world.shown.set()

    world.on_progress = note
    result = world.apply()
    [failure] = result.failures
    assert failure.rollout
    assert failure.reason == "Deployment ns/a did not roll out: ImagePullBackOff on Pod x"
    assert not result.messages
    by_state = {item.state: item.message for item in world.progress if item.change.name == "a"}
    assert by_state["rolling"].startswith("missed its deadline, and pulumi waits up to ")
    assert by_state["rolling"].endswith(": ImagePullBackOff on Pod x")
    assert by_state["failed"] == failure.reason


def test_outputs_of_failed_models_stay_as_recorded(world: World) -> None:
    # pulumi records a placeholder for an output that a failed resource would have given.
    before = {"images": {"a": "v1", "b": "v1"}, "old": UNKNOWN}
    after = {"images": {"a": UNKNOWN, "b": "v2", "new": UNKNOWN}, "old": UNKNOWN}
    world.cluster.bad = {"ns/a"}
    world.write_state(before)
    world.in_run = lambda: world.write_state(after)
    world.apply()
    assert world.read_outputs() == {"images": {"a": "v1", "b": "v2"}}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), EngineError("pulumi failed")])
def test_rollout_that_is_no_longer_waited_for_is_recorded(
    world: World, error: BaseException
) -> None:
    # The Pods never become available, and the run ends early.
    world.cluster.gate = threading.Event()
    world.runs = [["a", error]]
    with pytest.raises(type(error)):
        world.apply()
    assert world.read_errors() == {"a": [UNFINISHED]}
    assert not list_locks(world.backend)


def test_interrupt_of_the_last_wait_is_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.cluster.gate = threading.Event()

    def interrupt(follower: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("framework.engines.cli_rollouts.RolloutFollower.wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        world.apply()
    assert world.read_errors() == {"a": [UNFINISHED], "b": [UNFINISHED]}


def test_error_of_a_later_run_names_and_records_earlier_failures(world: World) -> None:
    world.cluster.bad = {"ns/a"}
    world.steps = [build_step("a"), build_step("b", Op.REPLACE)]
    world.runs = [["a"], [EngineError("no connection")]]
    with pytest.raises(EngineError) as caught:
        world.apply()
    assert str(caught.value).splitlines()[0] == "no connection"
    assert "failed before that: Deployment a: Deployment ns/a did not roll out" in str(caught.value)
    assert list(world.read_errors()) == ["a"]


def test_pending_operations_stay_when_a_rollout_is_recorded(world: World) -> None:
    document = json.loads(world.backend.checkpoint_path.read_text())
    urn, type_ = f"{PREFIX}kubernetes:core/v1:ConfigMap::x", "kubernetes:core/v1:ConfigMap"
    pending = {"type": "creating", "resource": {"urn": urn, "type": type_}}
    document["checkpoint"]["latest"]["pending_operations"] = [pending]
    world.backend.checkpoint_path.write_text(json.dumps(document))
    world.cluster.bad = {"ns/a"}
    world.apply()
    assert list(world.read_errors()) == ["a"]
    assert "pending_operations" in world.backend.checkpoint_path.read_text()


def put_back_by_hand(world: World) -> None:
    """Makes a the only Deployment that differs, and only from the live object."""
    step = build_step("a")
    recorded = build_recorded(step.change, inputs=step.manifest.object)
    world.steps = [replace(step, recorded=recorded, cli_op=Op.SAME)]
    world.runs = [[]]


@pytest.mark.usefixtures("puts_back")
def test_failed_rollout_of_what_is_put_back_is_recorded(world: World) -> None:
    put_back_by_hand(world)
    world.cluster.bad = {"ns/a"}
    [failure] = world.apply().failures
    assert world.read_errors() == {"a": [failure.reason]}


@pytest.mark.usefixtures("puts_back")
def test_interrupted_wait_for_what_is_put_back_is_recorded(world: World) -> None:
    put_back_by_hand(world)

    def interrupt(progress: Progress) -> None:
        if progress.state == "rolling":
            raise KeyboardInterrupt

    world.on_progress = interrupt
    with pytest.raises(KeyboardInterrupt):
        world.apply()
    assert world.read_errors() == {"a": [UNFINISHED]}


# Inputs after a refresh, which records live values as inputs


DECLARED, LIVE = {"declared": "1"}, {"declared": "1", "foreign": "2"}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), EngineError("pulumi failed")])
def test_inputs_of_what_an_early_end_left_are_as_before(world: World, error: BaseException) -> None:
    world.write_state(inputs=DECLARED)
    # The step of a is complete: what it has recorded stays.
    world.runs = [[lambda: world.write_state(inputs=LIVE), "a", error]]
    with pytest.raises(type(error)):
        world.apply()
    assert world.calls[0]["refresh"]
    assert world.read_inputs() == {"a": (LIVE, LIVE), "b": (DECLARED, DECLARED)}


def test_inputs_of_what_is_not_of_kubernetes_are_as_before(world: World) -> None:
    def refresh() -> None:
        world.others = {"x": {"length": 9}, "y": {"length": 9}}
        world.write_state()

    # A refresh is the only check of these, and it compares with the recorded inputs. All passwords
    # have the same id.
    world.others = {"x": {"length": 1}, "y": {"length": 2}}
    world.write_state()
    world.runs = [[refresh, "a", KeyboardInterrupt()]]
    with pytest.raises(KeyboardInterrupt):
        world.apply()
    inputs = world.read_inputs()
    assert (inputs["x"], inputs["y"]) == (({"length": 1}, None), ({"length": 2}, None))


def test_inputs_of_an_object_that_was_skipped_are_as_before(world: World) -> None:
    world.steps = [build_step("a"), build_step("b", model="a")]
    world.write_state(inputs=DECLARED)
    world.shown.set()
    world.runs = [[lambda: world.write_state(inputs=LIVE), f"{FAILS}a"]]
    world.apply()
    assert world.read_inputs() == {"a": (LIVE, LIVE), "b": (DECLARED, DECLARED)}


def test_inputs_of_what_an_earlier_run_has_written_stay(world: World) -> None:
    world.steps = [build_step("a"), build_step("b", Op.REPLACE)]
    world.write_state(inputs=DECLARED)
    world.runs = [[lambda: world.write_state(inputs=LIVE), "a"], [KeyboardInterrupt()]]
    with pytest.raises(KeyboardInterrupt):
        world.apply()
    assert world.read_inputs() == {"a": (LIVE, LIVE), "b": (DECLARED, DECLARED)}


def test_inputs_that_cannot_be_restored_are_a_message(world: World) -> None:
    world.write_state(inputs=DECLARED)
    world.in_run = lambda: take_lock(world.backend)
    world.runs = [["a"]]
    [message] = world.apply().messages
    assert "the state has live values in place of what the files declare" in message


# The lock


def test_lock_is_held_while_pods_are_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[tuple[str, int]] = []
    wait = world.cluster.wait

    def wait_under_lock(state: Any, **options: Any) -> Any:
        # Until the run that reported the Deployment has ended.
        world.ended.wait(10)
        held.append((state.id, len(list_locks(world.backend))))
        return wait(state, **options)

    def put_back(_: object, steps: list[CliStep]) -> None:
        held.append(("put back", len(list_locks(world.backend))))

    monkeypatch.setattr(world.cluster, "wait", wait_under_lock)
    monkeypatch.setattr(PreCliWriter, "run", put_back)
    # One Deployment of model a waits for the other: two runs, and a wait between them.
    world.steps = [build_step("a"), build_step("b", model="a")]
    world.runs = [["b"], ["a"]]
    world.apply(waits={build_urn("a"): (build_urn("b"),)})
    assert held == [("put back", 1), ("ns/b", 1), ("put back", 1), ("ns/a", 1)]
    assert not list_locks(world.backend)


def take_lock(backend: FileBackend) -> None:
    path = backend.lock_folder / "other.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = {"pid": 7, "username": "ann", "hostname": "elsewhere", "timestamp": "now"}
    path.write_text(json.dumps(holder))


def test_another_command_in_between_makes_a_message_of_the_result(world: World) -> None:
    world.cluster.bad = {"ns/a"}
    world.in_run = lambda: take_lock(world.backend)
    result = world.apply()
    assert [failure.change.name for failure in result.failures] == ["a"]
    [message] = result.messages
    assert message.startswith("warning: it is not recorded that the rollout of a did not finish")
    assert "locked by ann" in message
    assert world.read_errors() == {}


def test_another_command_in_between_stops_before_the_next_write(world: World) -> None:
    world.in_run = lambda: take_lock(world.backend)
    world.steps = [build_step("a"), build_step("b", model="a")]
    world.runs = [["b"]]
    with pytest.raises(StateError, match="locked by ann"):
        world.apply(waits={build_urn("a"): (build_urn("b"),)})
    assert len(world.calls) == 1


def test_another_command_in_between_stops_before_the_next_run(world: World) -> None:
    world.in_run = lambda: take_lock(world.backend)
    world.steps = [build_step("a"), build_step("b", Op.REPLACE)]
    world.runs = [["a"]]
    with pytest.raises(StateError, match="locked by ann"):
        world.apply()
    assert len(world.calls) == 1


# The runs


def test_each_replaced_model_has_a_run_of_its_own(world: World) -> None:
    world.steps = [build_step("a", Op.REPLACE), build_step("b", Op.REPLACE), build_step("c")]
    world.cluster.objects["Deployment", "ns/c"] = world.steps[2].manifest.object
    world.runs = [["c"], [], ["b"]]
    world.apply()
    assert [call["continue_on_error"] for call in world.calls] == [True, False, False]
    targets = [{urn.rpartition("::")[2] for urn in call["target"]} for call in world.calls[1:]]
    assert targets == [{"a"}, {"b"}]


def build_deletion(name: str, kind: str = "apps/v1:Deployment", *, urn: str = "") -> Change:
    """Builds the deletion of an object of model a."""
    type_ = f"kubernetes:{kind}"
    urn = urn or build_urn(name, kind)
    return Change(urn, type_, name, Op.DELETE, object=f"ns/{name}", component="a")


def read_scopes(world: World) -> list[tuple[bool, str, set[str]]]:
    """Returns of each run its `continue_on_error`, and the names that it has or leaves out."""
    scopes = []
    for call in world.calls:
        [option] = [option for option in ("target", "exclude") if option in call] or [""]
        names = {urn.rpartition("::")[2] for urn in call.get(option, ())}
        scopes.append((call["continue_on_error"], option, names))
    return scopes


def list_skipped(world: World) -> list[Change]:
    return [item.change for item in world.progress if item.state == "skipped"]


CANARY = build_deletion("a-canary")
LEFT_CONFIG = build_deletion("a-config", "core/v1:ConfigMap")


@pytest.mark.parametrize("pending", [False, True], ids=["leaves the plan", "left by a replacement"])
def test_deletions_of_a_changed_model_come_after_its_rollout(world: World, pending: bool) -> None:
    deletion = LEFT_CONFIG if pending else CANARY
    world.pending = [deletion] if pending else []
    world.is_replaced = True
    world.write_state()
    world.runs = [["a", "b"], []]
    world.apply(changes=[] if pending else [deletion])
    names = {deletion.name}
    assert read_scopes(world) == [(True, "exclude", names), (True, "target", names)]


@pytest.mark.parametrize("by_cli", [True, False], ids=["pulumi fails", "pulumi was done before"])
@pytest.mark.parametrize("pending", [False, True], ids=["leaves the plan", "left by a replacement"])
def test_nothing_of_a_model_is_deleted_whose_rollout_failed(
    world: World, pending: bool, by_cli: bool
) -> None:
    deletion = LEFT_CONFIG if pending else CANARY
    world.pending = [deletion] if pending else []
    world.is_replaced = True
    world.write_state()
    world.cluster.bad = {"ns/a"}
    world.shown.set()
    world.runs = [[f"{FAILS}a" if by_cli else "a", "b"]]
    [failure] = world.apply(changes=[] if pending else [deletion]).failures
    assert failure.change.name == "a"
    assert read_scopes(world) == [(True, "exclude", {deletion.name})]
    [kept] = [item for item in world.progress if item.state == "skipped"]
    assert (kept.change, kept.message) == (deletion, "kept: its component did not finish")


def test_model_whose_old_deployment_still_serves_has_a_run_of_its_own(world: World) -> None:
    # A failed replacement left it: it has the URN of the Deployment that this run updates.
    world.pending = [build_deletion("old", urn=build_urn("a"))]
    world.write_state()
    world.runs = [["b"], ["a"]]
    world.apply()
    assert read_scopes(world) == [(True, "exclude", {"a"}), (False, "target", {"a"})]


@pytest.mark.parametrize("fails", [False, True])
def test_old_deployment_of_a_failed_rename_stays_until_the_new_one_serves(
    world: World, fails: bool
) -> None:
    # Under this URN nothing else is recorded, and `--exclude` does not keep it.
    world.pending = [build_deletion("former")]
    world.write_state()
    world.shown.set()
    outside = Change(f"{PREFIX}kubernetes:core/v1:Namespace::ns", "Namespace", "ns", Op.UPDATE)
    world.runs = [["b"], [f"{FAILS}a"]] if fails else [["b"], ["a"], []]
    world.apply(changes=[outside])
    runs = [(True, "target", {"b"}), (False, "target", {"a", "former"})]
    assert read_scopes(world) == (runs if fails else [*runs, (True, "", set())])
    assert list_skipped(world) == ([outside] if fails else [])


OLD_NAMESPACE = Change(
    f"{PREFIX}kubernetes:core/v1:Namespace::old",
    "kubernetes:core/v1:Namespace",
    "old",
    Op.DELETE,
    object="old",
)


@pytest.fixture
def leaves_namespace(world: World) -> World:
    """A stack whose Namespace is to be deleted, and whose model a runs alone."""
    # The first run leaves out what is in the Namespace, and with it the Namespace.
    world.pending = [build_deletion("old", urn=build_urn("a"))]
    world.gone = [OLD_NAMESPACE]
    world.write_state()
    world.shown.set()
    return world


@pytest.mark.parametrize("fails", [False, True])
def test_namespace_is_deleted_after_the_models_that_run_alone(
    leaves_namespace: World, fails: bool
) -> None:
    world = leaves_namespace
    last = [lambda: world.drop_records(OLD_NAMESPACE.urn)]
    world.runs = [["b"], [f"{FAILS}a"]] if fails else [["b"], ["a"], last]
    world.apply()
    runs = [(True, "exclude", {"a"}), (False, "target", {"a"})]
    assert read_scopes(world) == (runs if fails else [*runs, (True, "", set())])
    assert list_skipped(world) == ([OLD_NAMESPACE] if fails else [])


@pytest.mark.parametrize("stays", [False, True])
def test_run_for_the_namespace_leaves_out_what_has_failed(
    leaves_namespace: World, stays: bool
) -> None:
    """The Namespace stays if something in it is left out."""
    world = leaves_namespace
    last = [] if stays else [lambda: world.drop_records(OLD_NAMESPACE.urn)]
    world.runs = [[f"{FAILS}b"], ["a"], last]
    assert [failure.change.name for failure in world.apply().failures] == ["b"]
    assert read_scopes(world)[2:] == [(True, "exclude", {"b"})]
    assert list_skipped(world) == ([OLD_NAMESPACE] if stays else [])


def test_deletion_that_has_failed_is_not_tried_again(leaves_namespace: World) -> None:
    world = leaves_namespace
    world.runs = [["b", f"{FAILS}old"], ["a"]]
    assert [failure.change.name for failure in world.apply().failures] == ["old"]
    assert len(world.calls) == 2
    assert not list_skipped(world)


def test_old_object_that_the_first_run_deleted_needs_no_other_run(world: World) -> None:
    world.pending = [build_deletion("old", urn=build_urn("a"))]
    urn = f"{PREFIX}kubernetes:core/v1:ConfigMap::own"
    own = replace(build_deletion("own", urn=urn), component="")
    world.gone = [replace(own, op=Op.SAME, object="ns/own-2")]
    world.write_state()
    world.runs = [["b"], ["a"]]
    world.apply(changes=[replace(own, object="ns/own-1")])
    assert len(world.calls) == 2
    assert not list_skipped(world)


@pytest.mark.parametrize("run", ["deletes", "reports", "misses"])
def test_deletion_that_no_run_makes_is_a_failure(world: World, run: str) -> None:
    own = build_deletion("own", "core/v1:ConfigMap")
    world.gone = [replace(own, component="")]
    world.write_state()
    last: dict[str, list[Any]] = {
        "deletes": [lambda: world.drop_records(own.urn)],
        "reports": ["own"],
        "misses": [],
    }
    world.runs = [["a", "b", *last[run]]]
    failures = world.apply().failures
    missed = ["it was not deleted, although nothing failed; next: run `up` again"]
    assert [failure.reason for failure in failures] == (missed if run == "misses" else [])


def test_old_object_that_no_run_deletes_is_a_failure(world: World) -> None:
    """The CLI reports the new object, which has the URN of the old one."""
    world.pending = [build_deletion("old", urn=build_urn("a"))]
    world.write_state()
    world.runs = [["b"], ["a"]]
    failures = world.apply().failures
    assert [failure.change.object for failure in failures] == [world.pending[0].object]


def test_narrowed_model_with_a_deletion_has_a_run_of_its_own(world: World) -> None:
    # The CLI refuses a list of targets that lacks a deletion.
    world.runs = [["b"], ["a"]]
    urns = frozenset({build_urn("a"), build_urn("b"), CANARY.urn})
    world.apply(changes=[CANARY], targets=urns)
    assert read_scopes(world) == [(True, "target", {"b"}), (False, "target", {"a", "a-canary"})]


BUDGET = "policy/v1:PodDisruptionBudget"


@pytest.mark.parametrize("narrowed", [False, True], ids=["whole stack", "MODEL="])
@pytest.mark.parametrize("gone", [CANARY, build_deletion("a", BUDGET)], ids=lambda item: item.name)
def test_first_stage_names_no_model_with_a_deletion(
    world: World, gone: Change, narrowed: bool
) -> None:
    # Deployment a waits for b of the same model, and the model loses another object.
    world.steps = [build_step("a"), build_step("b", model="a")]
    world.cluster.objects["Deployment", "ns/b"] = world.steps[1].manifest.object
    world.gone = [gone]
    world.write_state()
    world.runs = [["b"], ["a"], []]
    component = f"{PREFIX}{MODEL_TYPE}::a"
    urns = {component, build_urn("a"), build_urn("b"), gone.urn}
    model = Change(component, MODEL_TYPE, "a", Op.SAME, component="a")
    world.apply(
        waits={build_urn("a"): (build_urn("b"),)},
        changes=[model],
        targets=frozenset(urns) if narrowed else None,
    )
    first, *others = world.calls
    assert first["target"] == [build_urn("b")]
    assert others
    if narrowed:
        assert {urn.replace("*", "") for urn in others[0]["target"]} == urns


def test_canary_ends_in_a_commit_that_also_removes_the_autoscaler(world: World) -> None:
    """A run names no URN that the run before has dropped: with `--refresh` the CLI refuses it."""
    config = build_deletion("a-canary-config", "core/v1:ConfigMap")
    autoscaler = build_autoscaler("a")
    world.gone = [config, CANARY, autoscaler]
    # The program registers the autoscaler last, so it depends on the config of the canary.
    world.needs = {item.urn: [config.urn] for item in (CANARY, autoscaler)}
    world.write_state()
    last = [lambda: world.drop_records(config.urn, CANARY.urn)]
    world.runs = [["a", "b", lambda: world.drop_records(autoscaler.urn)], last]
    assert not world.apply().failures
    first, second = world.calls
    assert {urn.replace("*", "") for urn in first["exclude"]} == {config.urn, CANARY.urn}
    assert {urn.replace("*", "") for urn in second["target"]} == {config.urn, CANARY.urn}
    assert "exclude" not in second


def test_model_with_a_deletion_runs_alone_beside_a_failed_rename(world: World) -> None:
    # Both models have a deletion, and `--exclude` does not keep the one of the rename.
    world.pending = [build_deletion("former")]
    promoted = replace(CANARY, urn=build_urn("b-canary"), name="b-canary", component="b")
    world.gone = [promoted]
    world.write_state()
    world.runs = [["b"], ["a"]]
    world.apply()
    runs = [{"b", "b-canary"}, {"a", "former"}]
    assert read_scopes(world) == [(False, "target", names) for names in runs]


@pytest.mark.parametrize("failing", [(), ("b",), ("b", "c")])
def test_models_with_deletions_share_a_run_beside_a_failed_rename(
    world: World, failing: tuple[str, ...]
) -> None:
    """Only a model that fails costs one more run, and nothing of it is deleted then."""
    names = ["b", "c", "d"]
    world.steps = [build_step("a"), *map(build_step, names)]
    for step in world.steps:
        world.cluster.objects["Deployment", step.manifest.id] = step.manifest.object
    world.pending = [build_deletion("former")]
    world.gone = [
        replace(CANARY, urn=build_urn(f"{name}-canary"), name=f"{name}-canary", component=name)
        for name in names
    ]
    world.write_state()
    world.shown.set()
    # The CLI ends the run at the first failure.
    deleted = [change.urn for change in (*world.gone, *world.pending)]
    last = ["a", lambda: world.drop_records(*deleted)]
    world.runs = [*([f"{FAILS}{name}"] for name in failing), ["d"], last]
    result = world.apply()
    assert [failure.change.name for failure in result.failures] == [*failing]
    expected = []
    for done in range(len(failing) + 1):
        left = [name for name in names if name not in failing[:done]]
        expected.append({*left, *(f"{name}-canary" for name in left)})
    expected.append({"a", "former"})
    assert read_scopes(world) == [(False, "target", found) for found in expected]


def test_model_with_a_replaced_object_shares_no_run(world: World) -> None:
    """A run that ends early could leave it deleted."""
    service = build_step("b-service", Op.REPLACE, model="b")
    service = replace(service, change=replace(service.change, type="kubernetes:core/v1:Service"))
    world.steps = [build_step("a"), build_step("b"), service, build_step("c")]
    world.pending = [build_deletion("former")]
    deletions = [
        replace(CANARY, urn=build_urn(f"{name}-canary"), name=f"{name}-canary", component=name)
        for name in ("b", "c")
    ]
    changes = [step.change for step in world.steps]
    held = find_held_deletions(
        world.steps,
        [*changes, *deletions],
        world.pending,
        {world.pending[0].urn},
        can_leave_out=True,
    )
    assert held == HeldDeletions({}, frozenset({"a", "b"}), frozenset({"c"}))


@pytest.mark.usefixtures("puts_back")
def test_failed_model_does_not_run_to_its_deletions(world: World) -> None:
    put_back_by_hand(world)
    world.steps.append(build_step("b", model="a"))
    world.pending = [build_deletion("old", urn=build_urn("b"))]
    world.write_state()
    world.cluster.bad = {"ns/a"}
    world.apply()
    assert read_scopes(world) == [(True, "exclude", {"a", "b"})]


def test_deletion_of_an_unchanged_model_needs_no_other_run(world: World) -> None:
    world.steps = [build_step("b")]
    world.runs = [["b"]]
    world.apply(changes=[CANARY])
    assert read_scopes(world) == [(True, "", set())]


def test_deleted_deployment_is_a_failed_rollout(world: World) -> None:
    del world.cluster.objects["Deployment", "ns/a"]
    [failure] = world.apply().failures
    assert failure.rollout
    assert "it was deleted in the meantime" in failure.reason


def test_all_deployments_are_waited_for_at_the_same_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"m{number}" for number in range(40)]
    world.steps = [build_step(name) for name in names]
    for step in world.steps:
        world.cluster.objects["Deployment", step.manifest.id] = step.manifest.object
    together = threading.Barrier(len(names), timeout=10)
    monkeypatch.setattr(world.cluster, "wait", lambda state, **_: together.wait())
    world.runs = [names]
    assert not world.apply().failures


def test_deployment_that_a_later_run_updates_is_waited_for_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.steps = [build_step("a"), build_step("b", Op.REPLACE)]
    world.runs = [["a", "b"], ["a"]]
    ends: list[str] = []
    wait = world.cluster.wait

    def wait_and_break(state: Any, **options: Any) -> Any:
        # The second update of a breaks it.
        ends.append(state.id)
        world.cluster.bad = {"ns/a"} if ends.count("ns/a") == 2 else set()
        return wait(state, **options)

    monkeypatch.setattr(world.cluster, "wait", wait_and_break)
    [failure] = world.apply().failures
    assert failure.change.name == "a"
    assert list(world.read_errors()) == ["a"]


# Autoscalers that are deleted first


def build_autoscaler(name: str, op: Op = Op.DELETE, urn: str = "") -> Change:
    type_ = f"kubernetes:{AUTOSCALER}"
    urn = urn or build_urn("a", AUTOSCALER)
    return Change(urn, type_, "a", op, object=f"ns/{name}", component="a")


def build_recorded(change: Change, **fields: Any) -> RecordedObject:
    metadata = {"name": change.object.partition("/")[2], "namespace": "ns"}
    inputs = {"kind": "HorizontalPodAutoscaler", "metadata": metadata}
    found = RecordedObject(
        change.urn, change.type, change.object, "a", "", "", (), inputs=inputs, outputs={}
    )
    return replace(found, **fields)


@pytest.mark.parametrize(
    ("changes", "recorded", "deleted"),
    [
        pytest.param(
            [build_autoscaler("a")], [build_recorded(build_autoscaler("a"))], True, id="obsolete"
        ),
        pytest.param(
            [build_autoscaler("a")],
            [build_recorded(build_autoscaler("a"), retain_on_delete=True)],
            False,
            id="retained",
        ),
        pytest.param([build_autoscaler("a")], [], False, id="only pending"),
        pytest.param(
            [build_autoscaler("a")],
            [build_recorded(build_autoscaler("other"))],
            False,
            id="another object",
        ),
        pytest.param(
            [build_autoscaler("a"), build_autoscaler("a", Op.SAME)],
            [build_recorded(build_autoscaler("a"))],
            False,
            id="successor of the same name",
        ),
    ],
)
def test_only_obsolete_autoscalers_are_deleted_first(
    world: World, changes: list[Change], recorded: list[RecordedObject], deleted: bool
) -> None:
    world.runs.append([])
    world.apply(changes=changes, recorded=recorded)
    log = [("delete", "HorizontalPodAutoscaler ns/a")]
    assert world.cluster.log == (log if deleted else [])
