"""A deployed project of three models with every kind of object, checked and changed in place."""

from __future__ import annotations

import re
import time
from functools import partial
from pathlib import Path

from framework.core.stack import Stack
from framework.drift import DriftReport, Finding, find_drift
from framework.engines.base import NamedCluster, Request
from framework.engines.clusters import connect_kubernetes
from framework.engines.embedded.engine import EmbeddedEngine
from framework.kinds.registry import RULES
from framework.kube.client import KubeClient
from framework.kube.objects import Object
from framework.plan import PlanStore
from tests.conftest import Project
from tests.drift.changes import OutOfBand, Tampering

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


def build_volume(namespace: str) -> Object:
    """Returns the volume that the claim of the model is bound to: nothing provisions one here."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": namespace},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "",
            "claimRef": {"namespace": namespace, "name": "intent-store"},
            "hostPath": {"path": "/store"},
        },
    }


class Bench:
    """One deployed project, and the hands of other people on its cluster."""

    def __init__(self, project: Project, kube: KubeClient, kubeconfig: Path) -> None:
        self.project, self.kube = project, kube
        self.world = Tampering(kube, f"{project.namespace}-dev")
        self._engine = EmbeddedEngine(partial(connect_kubernetes, rules=RULES))
        self._cluster = NamedCluster(str(kubeconfig), "local")

    def check(self) -> DriftReport:
        """Runs the check in this process."""
        root = self.project.root
        loaded = PlanStore(root).load_one(Stack.of("dev"))
        request = Request(root, Stack.of("dev"), cluster=self._cluster, plan=loaded.require())
        return find_drift(request, self._engine.recorded_objects(request), with_sources=False)

    def up(self, engine: str = "embedded") -> None:
        """Puts the cluster back."""
        self.project.succeed("up", "dev", "--yes", "--engine", engine)

    def renew_volume(self) -> None:
        """Makes the volume free again, which stays bound to the claim that was deleted."""
        name = self.world.namespace
        self.kube.delete("v1", "PersistentVolume", name, propagation="Background")
        while self.kube.get("v1", "PersistentVolume", name) is not None:
            time.sleep(0.2)
        self.kube.create(build_volume(name), manager="tests")

    def undo(self, change: OutOfBand) -> None:
        """Deletes the foreign objects of a change, which `up` leaves alone."""
        for kind, name in change.undo:
            for finding in self.check().findings:
                own = finding.object.rpartition("/")[2]
                if finding.object_kind == kind and _matches(name, own):
                    self.world.delete(kind, own)


def _matches(pattern: str, name: str) -> bool:
    return name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1]))


def describe(finding: Finding) -> str:
    """Returns a finding in the form of `OutOfBand.finds`."""
    kind, name = finding.object_kind, finding.object.rpartition("/")[2]
    name = (
        "" if kind == "Namespace" else re.sub(r"^(intent-config|text-embeddings-).*", r"\1*", name)
    )
    if kind == "Pod":
        name = name.replace("text-embeddings-*", "text-embeddings*")
    return f"{finding.kind} {kind}/{name} {finding.path}"
