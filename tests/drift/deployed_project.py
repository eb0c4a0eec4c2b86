"""A deployed project with every kind of object, which is changed, checked and put back in place.

The project has several copies of three models: `intent-a`, `fraud-a`, `text-embeddings-a`,
`intent-b` and so on. One check and one `up` serve a change of each copy.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from framework.core.stack import Stack
from framework.drift import DriftReport, Finding, FindingKind, find_drift
from framework.engines import choose_engine, open_engine
from framework.engines.base import Engine, NamedCluster, Request
from framework.kube.client import KubeClient
from framework.kube.objects import Object
from framework.plan import PlanStore
from tests.conftest import Project
from tests.drift.changes import VERSIONS, Tampering

MODELS = ("intent", "fraud", "text-embeddings")
SETTINGS = """
networkPolicy: {allowFrom: {gateway: {namespace: gateway}}}
disruptionBudget: {maxUnavailable: 1}
volumes: {store: {mountPath: /store, claim: {size: 1Gi, accessModes: [ReadWriteMany]}}}
objects:
  reader:
    apiVersion: rbac.authorization.k8s.io/v1
    kind: Role
    rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
  widget:
    apiVersion: example.com/v1
    kind: Widget
    spec: {size: 1}
"""
_SCHEMA = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": _SCHEMA}}},
            }
        ],
    },
}


_COLLECTED_S = 20.0
_COPIED = re.compile(rf"(?P<model>{'|'.join(MODELS)})-(?P<copy>[a-z])(?=-|$)")
_CREATED = re.compile(r"(?P<model>.+)-(?P<copy>[a-z])$")


def write_copies(project: Project, copies: Iterable[str]) -> None:
    """Replaces the models of a project by copies of three of them."""
    texts = {model: (project.root / f"catalog/{model}.yaml").read_text() for model in MODELS}
    texts["intent"] += SETTINGS
    # The host of a route belongs to one model.
    texts["text-embeddings"] = texts["text-embeddings"].replace("host: embeddings", "host: ${name}")
    for pattern in ("catalog/[!_]*.yaml", "environments/*/models/*.yaml"):
        for file in project.root.glob(pattern):
            file.unlink()
    for copy in copies:
        for model, text in texts.items():
            project.write(f"catalog/{model}-{copy}.yaml", text)


def build_volume(namespace: str, copy: str) -> Object:
    """Returns the volume that the claim of a model is bound to: nothing provisions one here."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{namespace}-{copy}"},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "",
            "claimRef": {"namespace": namespace, "name": f"intent-{copy}-store"},
            "hostPath": {"path": "/store"},
        },
    }


class DeployedProject:
    """One deployed project, and the changes that other people make in its cluster.

    The check and the embedded engine run in this process, whose start would take longer than the
    command. The CLI engine runs in one of its own: it leaves event loops open.
    """

    def __init__(
        self, project: Project, copies: Iterable[str], kube: KubeClient, kubeconfig: Path
    ) -> None:
        self.project, self.kube = project, kube
        self.namespace = f"{project.namespace}-dev"
        self.worlds = {copy: Tampering(kube, self.namespace, copy) for copy in copies}
        self._cluster = NamedCluster(str(kubeconfig), "local")
        self._open = ExitStack()

    def close(self) -> None:
        """Ends the process of the embedded engine's program, and deletes what is deployed."""
        self._open.close()
        self.kube.delete("v1", "Namespace", self.namespace)
        for copy in self.worlds:
            volume = build_volume(self.namespace, copy)["metadata"]["name"]
            self.kube.delete("v1", "PersistentVolume", volume, propagation="Background")

    @cached_property
    def _embedded(self) -> Engine:
        root = self.project.root
        choice = choose_engine("embedded", root)
        return self._open.enter_context(open_engine(choice, root, runs_program=True))

    def _build_request(self) -> Request:
        root, stack = self.project.root, Stack.of("dev")
        plan = PlanStore(root).load_one(stack).require()
        return Request(root, stack, cluster=self._cluster, plan=plan)

    def check(self) -> DriftReport:
        """Runs the check."""
        request = self._build_request()
        return find_drift(request, self._embedded.recorded_objects(request), with_sources=False)

    def check_settled(self) -> DriftReport:
        """Runs the check, again while it finds only what the garbage collector has yet to delete.

        Whoever deletes a Deployment leaves its ReplicaSets and Pods to the garbage collector, which
        takes a few seconds, and a Service its EndpointSlices. Nothing else may differ meanwhile.
        """
        until = time.monotonic() + _COLLECTED_S
        while True:
            report = self.check()
            if not report.findings or time.monotonic() > until:
                return report
            if not all("; its owner is" in finding.note for finding in report.findings):
                return report
            time.sleep(0.5)

    def up(self, engine: str = "embedded") -> None:
        """Puts the cluster back."""
        if engine == "cli":
            self.project.succeed("up", "dev", "--yes", "--engine", "cli")
            return
        request = self._build_request()
        result = self._embedded.up(request, lambda preview: True, lambda progress: None)
        assert result is not None
        assert result.failures == ()

    def create_volumes(self) -> None:
        """Creates the volumes; those of claims that were deleted are made free again."""
        for copy in self.worlds:
            volume = build_volume(self.namespace, copy)
            name = volume["metadata"]["name"]
            self.kube.delete("v1", "PersistentVolume", name, propagation="Background")
            while self.kube.get("v1", "PersistentVolume", name) is not None:
                time.sleep(0.2)
            self.kube.create(volume, manager="tests")

    def delete_foreign(self) -> None:
        """Deletes the objects that no stack owns, which `up` leaves alone."""
        for finding in self.check().findings:
            if finding.kind is FindingKind.FOREIGN:
                name = finding.object.rpartition("/")[2]
                kind = finding.object_kind
                version = VERSIONS[kind]
                self.kube.delete(version, kind, name, self.namespace, propagation="Background")


@dataclass(frozen=True)
class Differences:
    """The differences of one copy, in the form of `OutOfBand.finds`, and their managers."""

    found: frozenset[str] = frozenset()
    managers: frozenset[str] = frozenset()


def read_differences(findings: Iterable[Finding]) -> dict[str, Differences]:
    """Returns the differences of each copy; those of the Namespace belong to the copy ""."""
    found: dict[str, set[str]] = {}
    managers: dict[str, set[str]] = {}
    for finding in findings:
        copy, text = describe(finding)
        found.setdefault(copy, set()).add(text)
        # A removed field leaves no manager behind.
        managers.setdefault(copy, set()).update({finding.manager} - {""})
    return {
        copy: Differences(frozenset(texts), frozenset(managers[copy]))
        for copy, texts in found.items()
    }


def describe(finding: Finding) -> tuple[str, str]:
    """Returns the copy and the text of a finding in the form of `OutOfBand.finds`."""
    kind, name = finding.object_kind, finding.object.rpartition("/")[2]
    if kind == "Namespace":
        return "", f"{finding.kind} Namespace/ {finding.path}"
    match = _COPIED.match(name) or _CREATED.match(name)
    copy, model = (match["copy"], match["model"]) if match else ("", name)
    rest = name[match.end() :] if match else ""
    if rest and (kind == "Pod" or rest.startswith("-config-")):
        rest = "-config*" if rest.startswith("-config-") else "*"
    return copy, f"{finding.kind} {kind}/{model}{rest} {finding.path}"
