"""`up` with PLAN= applies the reviewed plan if nothing that matters has changed, and else refuses.

Everything happens in memory and in one folder: the catalog, the state and the cluster are changed
between `preview` and `up`, and the engine's own preview decides.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from framework.cli.plan_file import PlanToApply, PlanWriter
from framework.cli.session import Session
from framework.core.errors import (
    ClusterError,
    EngineError,
    PlanFileError,
    PlanRefusedError,
    UsageError,
)
from framework.core.stack import Stack as PulumiStack
from framework.engines import reviewed_plan
from framework.engines.base import Engine, NamedCluster, Request
from framework.engines.embedded.engine import EmbeddedEngine
from framework.kube.api_error import ApiError
from framework.kube.objects import ObjectState
from framework.kube.prediction import ObjectDiff
from framework.plan import StackPlan
from tests.engines.fake_pulumi import build_fake_engine
from tests.engines.fakes import FakeCluster, SharedProgram, Stack
from tests.plan.small_catalog import check
from tests.shipped import ROOT

grid = pytest.mark.grid
DEV = "environments/dev/environment.yaml"
FILES = {
    "catalog/_defaults.yaml": (
        "ports: {http: 8080}\nreplicas: 4\nstartupSeconds: 30\n"
        "resources: {requests: {cpu: 500m, memory: 1Gi}, limits: {memory: 1Gi}}\n"
        "probes: {readiness: {httpGet: {path: /}}}\n"
    ),
    "catalog/_profiles/server.yaml": "image: {repository: ghcr.io/acme/server}\n",
    "catalog/a.yaml": (
        "owner: team-a\nprofiles: [server]\nimage:\n  tag: v1\nenv:\n  LEVEL: info\n  LIMIT: '3'\n"
        "config: {files: {app.ini: 'x = 1'}, mountPath: /etc/app}\n"
    ),
    "catalog/b.yaml": (
        "owner: team-b\nprofiles: [server]\nimage: {tag: v1}\nenv: {LEVEL: warn, LIMIT: '4'}\n"
        "autoscaling: {minReplicas: 2, maxReplicas: 8, cpu: 70}\n"
    ),
    "catalog/c.yaml": (
        "owner: team-c\nprofiles: [server]\nimage: {tag: v1}\nenv:\n  API_TOKEN: hush-hush1\n"
        "objects:\n  rules:\n    apiVersion: v1\n    kind: ConfigMap\n    data: {rule: allow}\n"
    ),
    "catalog/d.yaml": "owner: team-d\nprofiles: [server]\nimage: {tag: v1}\nenv: {LEVEL: a}\n",
    DEV: "namespace: ml-dev\n",
    "environments/prod/environment.yaml": "namespace: ml-prod\n",
}
# What the reviewed pull request changes: an image, the autoscaler, a secret variable; d leaves.
EDITS: dict[str, tuple[str, str]] = {
    "catalog/a.yaml": ("tag: v1", "tag: v2"),
    "catalog/b.yaml": ("maxReplicas: 8", "maxReplicas: 9"),
    "catalog/c.yaml": ("hush-hush1", "hush-hush2"),
}
COPY_OF_TOKEN = "service: {annotations: {example.com/note: 'x ${env.API_TOKEN}'}}\n"


class LivingCluster(FakeCluster):
    """A cluster in memory that respects ignoreChanges of replicas, and gives objects a UID."""

    def diff(
        self,
        urn: str,
        old: ObjectState | None,
        inputs: dict[str, Any],
        ignore_changes: Sequence[str],
    ) -> ObjectDiff:
        live = self.objects.get((inputs["kind"], old.id)) if old else None
        if live and "spec.replicas" in ignore_changes:
            inputs = {**inputs, "spec": {**inputs["spec"], "replicas": live["spec"]["replicas"]}}
        return super().diff(urn, old, inputs, ignore_changes)

    def _write(self, verb: str, inputs: dict[str, Any]) -> ObjectState:
        state = super()._write(verb, inputs)
        stored = self.objects[inputs["kind"], state.id]
        metadata = {**stored["metadata"], "uid": f"uid of {state.id}", "resourceVersion": "7"}
        stored["metadata"] = metadata
        return ObjectState(state.id, state.inputs, {**state.outputs, "metadata": metadata})


@dataclass
class World:
    """A deployed catalog with changes that are not applied yet, and a plan file of them."""

    stack: Stack
    cluster: LivingCluster
    engine: Engine
    plans: dict[str, StackPlan] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.stack.root

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def load(self) -> StackPlan:
        """Loads the plan; the same files are loaded once."""
        files = sorted(p for f in ("catalog", "environments") for p in (self.root / f).rglob("*.*"))
        key = repr([(str(p), p.read_text()) for p in files])
        if key not in self.plans:
            loaded = check(self.root, "dev")
            self.plans[key] = loaded.require()
        return self.plans[key]

    def open(self, *models: str) -> Session:
        plan = self.load()
        request = Request(
            self.root,
            PulumiStack.of("dev"),
            frozenset(models) or None,
            NamedCluster("kubeconfig", "fake"),
            plan,
        )
        return Session(plan, self.engine, "", request, deploys=True)

    def write_plan(self, *models: str, name: str = "plan.json") -> Path:
        session = self.open(*models)
        path = self.root / name
        options = argparse.Namespace(plan=str(path), model=",".join(models) or None)
        writer = PlanWriter(session, options)
        writer.write(self.engine.preview(writer.request))
        return path

    def up(self, path: Path, *models: str, apply: bool = False) -> bool | None:
        """Runs `up` with a plan up to the moment of the first write; or, with `apply`, wholly."""
        options = argparse.Namespace(plan=str(path), model=None, environment="dev")
        plan = PlanToApply(self.root, options)
        session = self.open(*(plan.models or ()))
        request = plan.build_request(session)
        result = self.engine.up(request, lambda _: apply, lambda _: None)
        return None if result is None else not result.failures

    def keep(self) -> Callable[[], None]:
        """Returns what puts files, state and cluster back."""
        saved = self.root.with_name(f"{self.root.name}-saved")
        shutil.rmtree(saved, ignore_errors=True)
        shutil.copytree(self.root, saved)
        objects = copy.deepcopy(self.cluster.objects)

        def restore() -> None:
            for folder in ("catalog", "environments", ".state", "own"):
                shutil.rmtree(self.root / folder)
                shutil.copytree(saved / folder, self.root / folder)
            for file in ("Pulumi.yaml", "__main__.py", "beside.py"):
                shutil.copy(saved / file, self.root / file)
            self.cluster.objects = copy.deepcopy(objects)

        return restore


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_program: SharedProgram) -> World:
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "fixture")
    # The key of each plan is derived as slowly as that of the state, which one test is enough for.
    monkeypatch.setattr(reviewed_plan, "_ROUNDS", 10)
    root = tmp_path / "project"
    cluster = LivingCluster()
    engine = EmbeddedEngine(cluster.connect, shared_program.start)
    world = World(Stack(root, engine, cluster), cluster, engine)
    for path, text in FILES.items():
        world.write(path, text)
    # Never imported: the process of the program, which all tests share, runs in another folder.
    program = (ROOT / "__main__.py").read_text() + "if not __name__:\n    from own import labels\n"
    world.write("__main__.py", program)
    world.write("other.py", program)
    world.write("own/__init__.py", "")
    world.write("own/labels.py", "from . import names\n")
    world.write("own/names.py", "PREFIX = 'a'\n")
    world.write("beside.py", "print('not imported')\n")
    world.write(
        "Pulumi.yaml",
        "name: test\nruntime: python\nstackConfigDir: environments\n"
        "backend: {url: 'file://./.state'}\n",
    )
    session = world.open()
    result = engine.up(session.request, lambda _: True, lambda _: None)
    assert result is not None
    assert not result.failures
    (root / "environments/Pulumi.dev.yaml").unlink(missing_ok=True)
    for path, (old, new) in EDITS.items():
        world.write(path, world.read(path).replace(old, new))
    (root / "catalog/d.yaml").unlink()
    return world


@pytest.fixture(params=["embedded", "cli"])
def world_of_engine(
    request: pytest.FixtureRequest, world: World, monkeypatch: pytest.MonkeyPatch
) -> World:
    """The world with plans of each engine. The CLI engine's change list comes from a fake."""
    if request.param == "cli":
        state_file = world.stack.state_file
        world.engine = build_fake_engine(world.cluster, state_file, monkeypatch)
    return world


def test_plan_is_applied_as_it_was_reviewed(world: World) -> None:
    path = world.write_plan()
    assert world.up(path, apply=True)
    images = {
        name: obj["spec"]["template"]["spec"]["containers"][0]["image"]
        for (kind, name), obj in world.cluster.objects.items()
        if kind == "Deployment"
    }
    assert images == {
        "ml-dev/a": "ghcr.io/acme/server:v2",
        "ml-dev/b": "ghcr.io/acme/server:v1",
        "ml-dev/c": "ghcr.io/acme/server:v1",
    }
    with pytest.raises(PlanRefusedError, match="perhaps the plan was applied already"):
        world.up(path)
    # A plan of no changes is applied as such.
    assert world.up(world.write_plan(), apply=True)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda text: text[:-9], "is not a plan: it is not JSON", id="cut"),
        pytest.param(lambda text: "[]", "is not a plan: it is other JSON", id="other-json"),
        pytest.param(
            lambda text: text.replace('"format": 1', '"format": 2'),
            "has format 2, and this version reads format 1",
            id="format",
        ),
        pytest.param(
            lambda text: text.replace("server:v2", "server:v3"),
            "is damaged or was edited, or was written with another passphrase",
            id="edited",
        ),
        pytest.param(
            lambda text: text.replace('"op": "update"', '"op": "destroy"'),
            r"is damaged or was edited \(changes\.\d\.op: ",
            id="edited-word",
        ),
    ],
)
def test_unfit_file_is_refused_by_name(
    world: World, spoil: Callable[[str], str], message: str
) -> None:
    path = world.write_plan()
    text = path.read_text()
    assert spoil(text) != text
    path.write_text(spoil(text))
    with pytest.raises(PlanFileError, match=message) as refused:
        world.up(path)
    assert "make preview" in str(refused.value) or "PLAN=" in str(refused.value)


def test_plan_of_another_stack_or_cluster_is_refused(world: World) -> None:
    path = world.write_plan()
    options = argparse.Namespace(plan=str(path), model=None, environment="prod")
    with pytest.raises(PlanFileError, match="is a plan of environment dev, not of prod"):
        PlanToApply(world.root, options)
    options = argparse.Namespace(plan=str(path), model="a", environment="dev")
    with pytest.raises(UsageError, match="does not accept MODEL together with PLAN"):
        PlanToApply(world.root, options)
    # The engine itself refuses another cluster than the recorded one. Here nothing is recorded.
    shutil.rmtree(world.root / ".state")
    world.cluster.objects.clear()
    path = world.write_plan()
    world.cluster.uid = "cluster-2"
    with pytest.raises(PlanFileError, match="kube-system UID cluster-1, and dev is now on the one"):
        world.up(path)


@pytest.mark.parametrize(
    ("variables", "old", "new", "now"),
    [
        pytest.param({}, "./.state", "./elsewhere", "test with its state in file://./elsewhere",
                     id="folder"),
        pytest.param({"PULUMI_BACKEND_URL": "s3://ann:sesame@states?endpoint=minio&awstoken=hush"},
                     "", "", "test with its state in s3://states?endpoint=minio", id="bucket"),
        pytest.param({}, "name: test", "name: other", "other with its state in file://./.state",
                     id="name"),
        pytest.param({"PULUMI_API": "https://pulumi.acme.example"},
                     "backend: {url: 'file://./.state'}", "",
                     "test with its state in https://pulumi.acme.example", id="login"),
    ],
)  # fmt: skip
def test_plan_of_another_backend_is_refused_before_the_first_deployment(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    old: str,
    new: str,
    now: str,
) -> None:
    """Every state is empty then, so nothing else differs."""
    shutil.rmtree(world.root / ".state")
    world.cluster.objects.clear()
    path = world.write_plan()
    monkeypatch.setenv("PULUMI_HOME", str(world.root))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    world.write("Pulumi.yaml", world.read("Pulumi.yaml").replace(old, new))
    with pytest.raises(PlanFileError) as refused:
        world.up(path)
    assert "was written for project test with its state in file://./.state" in str(refused.value)
    assert f"this is project {now}" in str(refused.value)
    assert "PULUMI_BACKEND_URL" in str(refused.value)
    assert not re.search("sesame|hush", str(refused.value))
    assert not (world.root / "elsewhere").exists()


def test_module_of_the_program_is_named(world: World) -> None:
    path = world.write_plan()
    world.write("own/names.py", "PREFIX = 'b'\n")
    with pytest.raises(PlanRefusedError, match=r"own/names\.py: code changed"):
        world.up(path)


def test_plan_knows_the_live_objects_that_are_not_recorded(world: World) -> None:
    """`up` takes them over, after the loss of the state or in another clone."""
    shutil.rmtree(world.root / ".state")
    path = world.write_plan()
    assert world.up(path) is None
    restore = world.keep()
    world.cluster.objects["Deployment", "ml-dev/a"]["spec"]["replicas"] = 7
    with pytest.raises(PlanRefusedError, match="Deployment ml-dev/a: the live object changed"):
        world.up(path)
    restore()
    del world.cluster.objects["Service", "ml-dev/a"]
    with pytest.raises(PlanRefusedError, match="Service ml-dev/a: the live object changed"):
        world.up(path)


def test_plan_needs_the_passphrase_that_it_was_written_with(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = world.write_plan()
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "another")
    with pytest.raises(PlanFileError, match="or was written with another passphrase"):
        world.up(path)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    with pytest.raises(PlanFileError, match="set PULUMI_CONFIG_PASSPHRASE or"):
        world.up(path)


def test_secret_of_a_changed_object_needs_a_passphrase(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    with pytest.raises(PlanFileError, match="was not written: Deployment ml-dev/c would change"):
        world.write_plan()
    assert not (world.root / "plan.json").exists()
    # A plan that leaves the object alone needs none: a changed secret would be a change.
    path = world.write_plan("a")
    assert "hush" not in path.read_text()
    assert world.up(path, apply=True)


def test_no_digest_of_a_secret_can_be_guessed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the passphrase, digests are equal whatever the secret is; with it, they are keyed."""
    keyed = json.loads(world.write_plan().read_text())["inputs"]
    world.write("catalog/c.yaml", world.read("catalog/c.yaml").replace("hush-hush2", "hush-hush1"))
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    monkeypatch.setattr("secrets.token_hex", lambda size: keyed["salt"])
    first = json.loads(world.write_plan().read_text())["inputs"]
    live = world.cluster.objects["Deployment", "ml-dev/c"]["spec"]["template"]["spec"]
    for text in ("hush-other", "hush-again"):
        live["containers"][0]["env"] = [{"name": "API_TOKEN", "value": text}]
        world.write("catalog/c.yaml", re.sub("hush-.*", text, world.read("catalog/c.yaml")))
    state = world.stack.state_file.read_text().replace("hush-hush1", "hush-again")
    world.stack.state_file.write_text(state)
    second = json.loads(world.write_plan(name="second.json").read_text())["inputs"]
    assert first == second
    assert keyed["catalog"].keys() == first["catalog"].keys()
    assert not set(keyed["catalog"].values()) & set(first["catalog"].values())


@pytest.mark.parametrize("token", ["hush-hush2", "sunshine", "kXqPzRtWvNb"])
def test_no_digest_of_a_copy_of_a_secret_can_be_guessed(
    world: World, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    model = world.read("catalog/c.yaml").replace("hush-hush2", token)
    world.write("catalog/c.yaml", model + COPY_OF_TOKEN)
    path = world.write_plan()
    assert token not in path.read_text()
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    with pytest.raises(PlanFileError, match="Deployment ml-dev/c, Service ml-dev/c would change"):
        world.write_plan(name="other.json")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "fixture")
    assert world.up(path, apply=True)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    monkeypatch.setattr("secrets.token_hex", lambda size: "0" * size)
    first = json.loads(world.write_plan(name="first.json").read_text())["inputs"]
    other = "hush-other"
    world.write("catalog/c.yaml", world.read("catalog/c.yaml").replace(token, other))
    for found in (("Deployment", "ml-dev/c"), ("Service", "ml-dev/c")):
        text = json.dumps(world.cluster.objects[found]).replace(token, other)
        world.cluster.objects[found] = json.loads(text)
    world.stack.state_file.write_text(world.stack.state_file.read_text().replace(token, other))
    second = json.loads(world.write_plan(name="second.json").read_text())["inputs"]
    assert first == second
    # Objects that leave the files: somebody changed the token and its copy by hand.
    (world.root / "catalog/c.yaml").unlink()
    for by_hand in ("hand-rot77", "hand-rot88"):
        for key in (("Deployment", "ml-dev/c"), ("Service", "ml-dev/c")):
            text = re.sub(
                r"hush-other|hand-rot\d+", by_hand, json.dumps(world.cluster.objects[key])
            )
            world.cluster.objects[key] = json.loads(text)
        world.write_plan(name=f"{by_hand}.json")
    one, two = (json.loads(world.read(f"hand-rot{n}.json"))["inputs"]["live"] for n in (77, 88))
    assert one == two


def list_notes(world: World) -> list[tuple[Any, Any]]:
    """Returns the old and the new annotation of the Service of c that a preview shows."""
    changes = world.engine.preview(world.open().request).changes
    fields = [field for change in changes for field in change.fields]
    return [(field.old, field.new) for field in fields if field.path.endswith('/note"]')]


def test_preview_redacts_copies_of_a_token_that_somebody_changed(world_of_engine: World) -> None:
    world = world_of_engine
    model = world.read("catalog/c.yaml") + COPY_OF_TOKEN
    world.write("catalog/c.yaml", model)
    assert world.stack.engine.up(world.open().request, lambda _: True, lambda _: None)
    for key in (("Deployment", "ml-dev/c"), ("Service", "ml-dev/c")):
        text = json.dumps(world.cluster.objects[key]).replace("hush-hush2", "hand-rot77")
        world.cluster.objects[key] = json.loads(text)
    world.write("catalog/c.yaml", model.replace("'x $", "'y $"))
    assert list_notes(world) == [("x [secret]", "y [secret]")]


def test_preview_redacts_copies_of_a_token_that_somebody_added_to_an_object_that_stays_the_same(
    world_of_engine: World,
) -> None:
    world = world_of_engine
    model = world.read("catalog/c.yaml").replace("data: {rule: allow}", "binaryData: {rule: YWJj}")
    note = "service: {annotations: {example.com/note: '%s'}}\n"
    world.write("catalog/c.yaml", model + note % "x hand-rot77")
    assert world.stack.engine.up(world.open().request, lambda _: True, lambda _: None)
    # `data` is not in the manifest, so it is not compared.
    [config] = [obj for obj in world.cluster.objects.values() if "binaryData" in obj]
    config["data"] = {"API_TOKEN": "hand-rot77"}
    world.write("catalog/c.yaml", model + note % "y")
    assert list_notes(world) == [("x [secret]", "y")]


def remove_token(world: World, renamed: str) -> None:
    """Deploys c with a token in a ConfigMap and a copy in the Service, then removes the ConfigMap
    and changes the copy; `renamed` is the new name of c."""
    model = world.read("catalog/c.yaml")
    note = "service: {name: c, annotations: {example.com/note: '%s'}}\n"
    with_token = model.replace("data: {rule: allow}", "data: {DB_PASSWORD: hush-old99}")
    world.write("catalog/c.yaml", with_token + note % "x hush-old99")
    assert world.stack.engine.up(world.open().request, lambda _: True, lambda _: None)
    (world.root / "catalog/c.yaml").unlink()
    previous = "previousName: c\n" if renamed != "c" else ""
    world.write(f"catalog/{renamed}.yaml", model.partition("objects:")[0] + note % "y" + previous)


def test_preview_redacts_copies_of_a_token_of_a_removed_object(world_of_engine: World) -> None:
    remove_token(world_of_engine, "c")
    assert list_notes(world_of_engine) == [("x [secret]", "y")]


def test_preview_redacts_copies_of_a_token_of_a_renamed_model(world: World) -> None:
    remove_token(world, "renamed")
    assert list_notes(world) == [("x [secret]", "y")]


def test_changed_code_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    path = world.write_plan()
    world.write("__main__.py", world.read("__main__.py") + "# a comment\n")
    with pytest.raises(PlanRefusedError, match=r"__main__\.py: code changed"):
        world.up(path)


def test_gone_model_of_a_plan_is_refused_by_name(world: World) -> None:
    path = world.write_plan("d")
    applied = world.write_plan("d", name="other.json")
    assert world.up(applied, apply=True)
    with pytest.raises(PlanRefusedError) as refused:
        world.up(path)
    # The catalog has not changed: d had left it before the plan was written.
    assert "model d: its record in the state changed" in str(refused.value)
    assert "perhaps the plan was applied already" in str(refused.value)


def test_model_that_left_the_catalog_since_is_refused_by_name(world: World) -> None:
    world.write("catalog/e.yaml", FILES["catalog/d.yaml"])
    path = world.write_plan("e")
    (world.root / "catalog/e.yaml").unlink()
    with pytest.raises(PlanRefusedError, match="model e: its settings in the catalog changed"):
        world.up(path)


def test_outage_is_not_the_refusal_of_an_object(
    world_of_engine: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(*_: object) -> None:
        raise ApiError("Deployment ml-dev/a", 503, "ServiceUnavailable", "no leader")

    monkeypatch.setattr(world_of_engine.cluster, "diff", answer)
    with pytest.raises(ClusterError, match="does not serve requests now: no leader"):
        world_of_engine.write_plan()


def test_first_up_of_one_model_names_the_namespace_that_is_left_out(
    world_of_engine: World,
) -> None:
    shutil.rmtree(world_of_engine.root / ".state")
    with pytest.raises(EngineError, match=r"ml-dev, which .* left out by MODEL; next: `make up"):
        world_of_engine.write_plan("a")


def test_file_that_is_no_plan_is_not_overwritten(world: World) -> None:
    world.write("notes.json", "{}")
    with pytest.raises(PlanFileError, match="already exists and is not a plan"):
        world.write_plan(name="notes.json")
    assert world.read("notes.json") == "{}"
    with pytest.raises(PlanFileError, match="cannot be written"):
        world.write_plan(name="no/folder.json")


# Random changes between the review and `up`


@dataclass(frozen=True)
class Change:
    """A change of the world.

    If it `matters`, a plan is refused that covers `model`: "" for all models of the catalog, "*"
    for any. A plan of the whole stack covers everything.
    """

    name: str
    make: Callable[[World, random.Random], None]
    matters: bool = True
    model: str = ""

    def refuses(self, covered: Sequence[str]) -> bool:
        if not self.matters:
            return False
        if self.model in ("", "*"):
            return self.model == "*" or covered != ("d",)
        return not covered or self.model in covered


def edit(path: str, pattern: str, new: str) -> Callable[[World, random.Random], None]:
    def make(world: World, choose: random.Random) -> None:
        text = world.read(path)
        assert re.search(pattern, text), (path, pattern)
        number = str(choose.randrange(20, 90))
        world.write(path, re.sub(pattern, new.replace("#", number), text, count=1))

    return make


def append(path: str, text: str) -> Callable[[World, random.Random], None]:
    def make(world: World, choose: random.Random) -> None:
        file = world.root / path
        before = file.read_text() if file.exists() else ""
        world.write(path, before + text.replace("#n", str(choose.randrange(20, 90))))

    return make


def reformat(world: World, choose: random.Random) -> None:
    """Writes a file in another style and with its keys in another order."""
    path = choose.choice(["catalog/a.yaml", "catalog/b.yaml", "catalog/c.yaml"])
    data = yaml.safe_load(world.read(path))
    keys = choose.sample(sorted(data), len(data))
    flow = choose.choice([True, False, None])
    text = yaml.safe_dump(
        {key: data[key] for key in keys}, sort_keys=False, default_flow_style=flow
    )
    world.write(path, f"# written again\n{text}")


def comment(world: World, choose: random.Random) -> None:
    path = choose.choice([*EDITS, "catalog/_defaults.yaml", DEV])
    lines = world.read(path).splitlines()
    world.write(path, "\n".join(["# why", *lines, "", "# end", ""]))


def move_to_overlay(world: World, choose: random.Random) -> None:
    """Says in an environment's file what the model says already."""
    world.write("environments/dev/models/a.yaml", "env: {LIMIT: '3'}\n")


def live(
    name: str, path: str, value: Any, kind: str = "Deployment"
) -> Callable[[World, random.Random], None]:
    """Sets a field of a live object, as kubectl, an autoscaler or a controller does."""

    def make(world: World, choose: random.Random) -> None:
        parts = path.split(".")
        target: Any = world.cluster.objects[kind, name]
        for part in parts[:-1]:
            target = target[int(part)] if part.isdigit() else target.setdefault(part, {})
        target[parts[-1]] = value(choose) if callable(value) else value

    return make


def delete_live(name: str, kind: str) -> Callable[[World, random.Random], None]:
    def make(world: World, choose: random.Random) -> None:
        del world.cluster.objects[kind, name]

    return make


def add_variable(world: World, choose: random.Random) -> None:
    spec = world.cluster.objects["Deployment", "ml-dev/a"]["spec"]["template"]["spec"]
    spec["containers"][0]["env"].append({"name": "DEBUG", "value": str(choose.random())})


def set_token(world: World, choose: random.Random) -> None:
    """Changes a value that no change list shows, of a variable that the plan changes too."""
    spec = world.cluster.objects["Deployment", "ml-dev/c"]["spec"]["template"]["spec"]
    (token,) = (item for item in spec["containers"][0]["env"] if item["name"] == "API_TOKEN")
    token["value"] = f"hush-{choose.random()}"


def times_of_fields(world: World, choose: random.Random) -> None:
    for obj in world.cluster.objects.values():
        time = f"2026-11-2{choose.randrange(9)}T00:00:00Z"
        entry: dict[str, Any] = {
            "manager": "kube-controller-manager",
            "operation": "Update",
            "time": time,
        }
        entry |= {"subresource": "status", "fieldsV1": {"f:status": {}}}
        obj["metadata"]["managedFields"] = [entry]


def state(
    name: str, change: Callable[[dict[str, Any]], None], kind: str = "Deployment"
) -> Callable[[World, random.Random], None]:
    """Changes the record of an object, as another command would."""

    def make(world: World, choose: random.Random) -> None:
        document = json.loads(world.stack.state_file.read_text())
        (found,) = (
            resource
            for resource in document["checkpoint"]["latest"]["resources"]
            if resource["type"].endswith(f":{kind}") and resource.get("id") == name
        )
        change(found)
        world.stack.state_file.write_text(json.dumps(document, indent=choose.choice([None, 2])))

    return make


def forget(name: str, kind: str) -> Callable[[World, random.Random], None]:
    """Removes the record of an object, as `pulumi state delete` does."""

    def make(world: World, choose: random.Random) -> None:
        document = json.loads(world.stack.state_file.read_text())
        latest = document["checkpoint"]["latest"]
        latest["resources"] = [
            resource
            for resource in latest["resources"]
            if not (resource["type"].endswith(f":{kind}") and resource.get("id") == name)
        ]
        world.stack.state_file.write_text(json.dumps(document))

    return make


def rename_recorded_context(world: World, choose: random.Random) -> None:
    text = world.stack.state_file.read_text()
    world.stack.state_file.write_text(re.sub('"context": ?"[^"]*"', '"context": "old"', text))


def touch_files(world: World, choose: random.Random) -> None:
    for file in (world.root / "catalog").rglob("*.yaml"):
        os.utime(file, (choose.randrange(10**9), choose.randrange(10**9)))


def add_foreign(world: World, choose: random.Random) -> None:
    """Adds objects of others, beside ours."""
    metadata = {"name": "foreign", "namespace": "ml-dev", "labels": {"app": "a"}}
    for kind in ("Service", "ConfigMap"):
        obj = {"apiVersion": "v1", "kind": kind, "metadata": metadata}
        world.cluster.objects[kind, "ml-dev/foreign"] = obj


def set_input(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(resource: dict[str, Any]) -> None:
        target = resource["inputs"]
        for part in path.split(".")[:-1]:
            target = target.setdefault(part, {})
        target[path.split(".")[-1]] = value

    return change


def touch_record(resource: dict[str, Any]) -> None:
    resource["modified"] = "2026-11-26T06:00:00Z"
    resource["created"] = "2026-11-20T06:00:00Z"
    resource["outputs"]["metadata"]["resourceVersion"] = "99"
    resource["outputs"]["status"] = {"readyReplicas": 1}


def other_version(world: World, choose: random.Random) -> None:
    document = json.loads(world.stack.state_file.read_text())
    manifest = document["checkpoint"]["latest"]["manifest"]
    manifest["time"] = "2026-11-26T06:00:00Z"
    world.stack.state_file.write_text(json.dumps(document))


A, B, C, D = (f"ml-dev/{name}" for name in "abcd")
CHANGES = (
    # catalog
    Change("image", edit("catalog/a.yaml", "tag: v2", "tag: v#"), model="a"),
    Change("variable", edit("catalog/a.yaml", "LEVEL: info", "LEVEL: debug#"), model="a"),
    Change("replicas", append("environments/dev/models/c.yaml", "replicas: #n\n"), model="c"),
    Change("limit", edit("catalog/b.yaml", "maxReplicas: 9", "maxReplicas: #"), model="b"),
    Change("secret", edit("catalog/c.yaml", "hush-hush2", "hush-hush#"), model="c"),
    Change("label", append("catalog/b.yaml", "labels: {tier: t#n}\n"), model="b"),
    Change("file", edit("catalog/a.yaml", "x = 1", "x = #"), model="a"),
    Change("object-gone", edit("catalog/c.yaml", r"(?s)objects:.*", ""), model="c"),
    Change("default", edit("catalog/_defaults.yaml", "startupSeconds: 30", "startupSeconds: 1#")),
    Change("budget", append(DEV, "overrides: {rollout: {maxSurge: 1#n%}}\n")),
    Change("used-profile", edit("catalog/_profiles/server.yaml", "acme/server", "acme/s#")),
    Change("owner", edit("catalog/c.yaml", "owner: team-c", "owner: team-#"), model="c"),
    Change("protect", append(DEV, "protect: true\n"), model="whole"),
    Change("new-model", append("catalog/e.yaml", FILES["catalog/d.yaml"]), model="e"),
    Change("model-back", append("catalog/d.yaml", FILES["catalog/d.yaml"]), model="d"),
    Change("model-off", append("environments/dev/models/b.yaml", "enabled: false\n"), model="b"),
    Change("comment", comment, matters=False),
    Change("touched", touch_files, matters=False),
    Change("description", append("catalog/c.yaml", "description: Text #n\n"), model="c"),
    Change("promotes", append(DEV, "promotesTo: prod\n"), matters=False),
    Change("reformat", reformat, matters=False),
    Change("overlay", move_to_overlay, matters=False),
    Change("readme", append("catalog/README.md", "Read me.\n"), matters=False),
    Change("profile", append("catalog/_profiles/unused.yaml", "replicas: #n\n"), matters=False),
    Change(
        "other-environment",
        append("environments/prod/environment.yaml", "overrides: {replicas: #n}\n"),
        matters=False,
    ),
    Change("policy", append(DEV, "policy: {allowedRegistries: [ghcr.io]}\n"), matters=False),
    Change(
        "oldest-server",
        append(DEV, "cluster: {kubernetesVersion: '1.31'}\n"),
        matters=False,
    ),
    # project
    Change("backend", edit("Pulumi.yaml", r"\./\.state", "./.state-#"), model="*"),
    Change("project", edit("Pulumi.yaml", "name: test", "name: test#"), model="*"),
    Change("main", edit("Pulumi.yaml", "name: test", "name: test\nmain: other.py"), model="*"),
    Change("program", append("__main__.py", "# #n\n"), model="*"),
    Change("module", append("own/names.py", "SUFFIX = '#n'\n"), model="*"),
    Change("package", append("own/__init__.py", "import os\n"), model="*"),
    Change("other-module", append("beside.py", "# #n\n"), matters=False),
    Change("unused-module", append("own/unused.py", "# #n\n"), matters=False),
    Change("same-backend", edit("Pulumi.yaml", r"\./\.state'", "./.state/'"), matters=False),
    # live objects
    Change("scaled", live(A, "spec.replicas", lambda c: c.randrange(5, 99)), model="a"),
    Change(
        "image-by-hand",
        live(A, "spec.template.spec.containers.0.image", lambda c: f"x:{c.random()}"),
        model="a",
    ),
    Change("variable-by-hand", add_variable, model="a"),
    Change("label-by-hand", live(B, "metadata.labels.by", "hand", "Service"), model="b"),
    Change("annotation", live(C, "metadata.annotations.restartedAt", "now"), model="c"),
    Change("leaving-by-hand", live(D, "spec.template.spec.priority", 9), model="d"),
    Change("secret-by-hand", set_token, model="c"),
    Change("deleted", delete_live(B, "Service"), model="b"),
    Change("deleted-leaving", delete_live(D, "Deployment"), model="d"),
    Change("recreated", live(B, "metadata.uid", "another"), model="b"),
    Change("foreign", add_foreign, matters=False),
    Change("status", live(A, "status", lambda c: {"ready": c.randrange(9)}), matters=False),
    Change("progress", live(D, "status.conditions", [{"type": "x"}]), matters=False),
    Change("version", live(B, "metadata.resourceVersion", "123456"), matters=False),
    Change("generation", live(C, "metadata.generation", 9), matters=False),
    Change("field-times", times_of_fields, matters=False),
    Change("revision", live(A, "metadata.annotations", lambda c: {
        "deployment.kubernetes.io/revision": str(c.randrange(9))
    }), matters=False),
    Change("autoscaled", live(B, "spec.replicas", lambda c: c.randrange(2, 9)), matters=False),
    # state
    Change("recorded", state(A, set_input("spec.replicas", 9)), model="a"),
    Change("record-label", state(B, set_input("metadata.labels.x", "y"), "Service"), model="b"),
    Change("record-leaving", state(D, set_input("spec.replicas", 9)), model="d"),
    Change("record-gone", forget(B, "Service"), model="b"),
    Change("record-of-leaving-gone", forget(D, "Deployment"), model="d"),
    Change("recorded-context", rename_recorded_context, model="*"),
    Change("protected", state(C, lambda r: r.update(protect=True)), model="c"),
    Change("retained", state(C, lambda r: r.update(retainOnDelete=True)), model="c"),
    Change("unfinished", state(A, lambda r: r.update(initErrors=["x"])), model="a"),
    Change("record-times", state(A, touch_record), matters=False),
    Change("record-of-leaving", state(D, touch_record), matters=False),
    Change("state-written", other_version, matters=False),
)  # fmt: skip
HARMLESS = [change for change in CHANGES if not change.matters]
HARMFUL = [change for change in CHANGES if change.matters]


def draw(number: int) -> tuple[list[Change], tuple[str, ...]]:
    """Draws several changes, and the models that the plan covers; every change comes up in turn.

    At most one of them matters: two may undo each other. One draw of four has none that matters.
    """
    choose = random.Random(number)
    harmless = choose.sample(HARMLESS, choose.randrange(1, 5))
    harmful = [HARMFUL[number * 3 // 4 % len(HARMFUL)]] if number % 4 else []
    changes = [*harmless, *harmful]
    choose.shuffle(changes)
    # A deleted object, and a record that is gone, cannot be changed any more.
    changes.sort(key=lambda change: bool(re.match("deleted|record-.*gone", change.name)))
    covered = [(), (), ("a",), ("b", "c"), ("d",)][choose.randrange(5)]
    return changes, covered


def find_wrong(world: World, numbers: Sequence[int]) -> list[str]:
    """Returns the drawn changes that are refused although none matters, and the other way round."""
    covers: list[tuple[str, ...]] = [(), ("a",), ("b", "c"), ("d",)]
    paths = {
        models: world.write_plan(*models, name=f"plan-{'-'.join(models)}.json") for models in covers
    }
    restore = world.keep()
    wrong = []
    for number in numbers:
        changes, covered = draw(number)
        for change in changes:
            change.make(world, random.Random(number))
        expected = any(change.refuses(covered) for change in changes)
        try:
            world.up(paths[covered])
            refused = ""
        except (PlanRefusedError, PlanFileError) as error:
            refused = str(error)
        if bool(refused) is not expected:
            names = ", ".join(change.name for change in changes)
            wrong.append(f"{number}: plan of {covered or 'all'}, changed {names}: {refused}")
        restore()
    return wrong


def test_what_matters_is_refused_and_nothing_else(world_of_engine: World) -> None:
    assert find_wrong(world_of_engine, range(len(HARMFUL) * 4 // 3 + 1)) == []


@grid
@pytest.mark.parametrize("part", range(6))
def test_several_hundred_changes_are_refused_only_if_they_matter(
    world_of_engine: World, part: int
) -> None:
    assert find_wrong(world_of_engine, range(1000 + 100 * part, 1100 + 100 * part)) == []
