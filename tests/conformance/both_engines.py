"""Runs the same commands with both engines, and compares everything that they leave behind.

Each engine has a project, a state and a Namespace of its own. Names of the Namespaces, and what a
server chooses at random, are made equal before the comparison.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from framework.kube.client import KubeClient
from framework.kube.object_diff import SERVER_METADATA, compare_objects
from tests.conftest import Project

Object = dict[str, Any]
EMBEDDED, CLI = "embedded", "cli"
OTHER = {EMBEDDED: CLI, CLI: EMBEDDED}
KINDS = (
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("v1", "PersistentVolumeClaim"),
    ("apps/v1", "Deployment"),
    ("policy/v1", "PodDisruptionBudget"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
)
# Objects of the Namespace itself, which no stack owns.
_OTHERS = {"kube-root-ca.crt", "default"}
_RANDOM = {"clusterIP", "clusterIPs", "nodePort", "healthCheckNodePort"}
# An address of a Service of the local cluster.
_ADDRESS = re.compile(r"\b10\.96\.\d+\.\d+\b")
_OPTIONS = ("protect", "retainOnDelete", "ignoreChanges", "customTimeouts", "initErrors")


class BothEngines:
    """One project for the embedded engine and an equal one for the CLI engine."""

    def __init__(self, project: Project, kube: KubeClient) -> None:
        self._kube = kube
        self.environment: dict[str, str] = {}
        root = project.root.with_name("cli")
        shutil.copytree(project.root, root, symlinks=True)
        self.embedded, self.cli = project, Project(root, f"{project.namespace}-c")
        for file in root.glob("environments/*/environment.yaml"):
            text = file.read_text()
            file.write_text(text.replace(f"{project.namespace}-", f"{self.cli.namespace}-"))
        self._projects = {EMBEDDED: self.embedded, CLI: self.cli}

    # Files

    def write(self, path: str, text: str) -> None:
        """Writes a file in both projects."""
        for project in self._projects.values():
            project.write(path, text)

    def append(self, path: str, text: str) -> None:
        """Adds text to a file of both projects."""
        for project in self._projects.values():
            project.append(path, text)

    def edit(self, path: str, old: str, new: str) -> None:
        """Replaces text in a file of both projects."""
        for project in self._projects.values():
            project.edit(path, old, new)

    def remove(self, path: str) -> None:
        """Removes a file of both projects."""
        for project in self._projects.values():
            (project.root / path).unlink()

    def rename(self, path: str, new: str) -> None:
        """Renames a file of both projects."""
        for project in self._projects.values():
            (project.root / path).rename(project.root / new)

    # Commands

    def deploy(self) -> None:
        """Applies with both engines, as the first step of a scenario; compares nothing."""
        self.run("up", "dev", "--yes")

    def up(self, *options: str, code: int = 0) -> list[str]:
        """Previews and applies with both engines, compares everything, and hands over.

        Returns the changes that both previews show, each as `op Kind name: path old -> new`.
        """
        changes = self.preview(*options)
        runs = self.run("up", "dev", "--yes", *options, code=code)
        shown = {name: self._read_summary(name, run.stdout) for name, run in runs.items()}
        assert shown[CLI] == shown[EMBEDDED]
        self.compare()
        if not options and not code:
            self.hand_over()
        return changes

    def preview(self, *options: str) -> list[str]:
        """Compares the change lists of both engines, and returns them."""
        runs = self.run("preview", "dev", "--json", *options)
        lists = {name: self._read_changes(name, run.stdout) for name, run in runs.items()}
        differing = sorted({*lists[CLI]} ^ {*lists[EMBEDDED]})
        assert lists[CLI] == lists[EMBEDDED], f"{differing}\n{runs[CLI].stderr}"
        return lists[CLI]

    def run(self, *arguments: str, code: int = 0) -> dict[str, subprocess.CompletedProcess[str]]:
        """Runs a verb with both engines at the same time; both must exit with this code."""
        with ThreadPoolExecutor(2) as pool:
            runs = {
                name: pool.submit(project.run, *arguments, "--engine", name, **self.environment)
                for name, project in self._projects.items()
            }
        for name, run in runs.items():
            done = run.result()
            assert done.returncode == code, f"{name}: {done.stdout}{done.stderr}"
        return {name: run.result() for name, run in runs.items()}

    def swap_engines(self) -> None:
        """Gives each project to the other engine, for all that follows."""
        self.embedded, self.cli = self.cli, self.embedded
        self._projects = {EMBEDDED: self.embedded, CLI: self.cli}

    def hand_over(self) -> None:
        """Previews each stack with the other engine, which must see no changes."""
        for name, project in self._projects.items():
            preview = ["preview", "dev", "--json", "--engine", OTHER[name]]
            document = json.loads(project.succeed(*preview, **self.environment))
            changed = [change for change in document["changes"] if change["op"] != "same"]
            assert not changed, f"a stack of the {name} engine"

    def change_by_hand(self, api_version: str, kind: str, name: str, fields: Object) -> None:
        """Changes an object of both Namespaces, as `kubectl edit` does."""
        for project in self._projects.values():
            metadata = {
                **fields.get("metadata", {}),
                "name": name,
                "namespace": f"{project.namespace}-dev",
            }
            patch = {**fields, "apiVersion": api_version, "kind": kind, "metadata": metadata}
            self._kube.apply(patch, manager="kubectl-edit", force=True, dry_run=False)

    # Comparing

    def compare(self) -> None:
        """Compares the objects in the cluster and the recorded state."""
        objects = {name: self._list_objects(name) for name in self._projects}
        assert objects[CLI].keys() == objects[EMBEDDED].keys()
        for key, obj in objects[EMBEDDED].items():
            assert objects[CLI][key] == obj, key
        states = {name: self._read_state(name) for name in self._projects}
        assert states[CLI].keys() == states[EMBEDDED].keys()
        for urn, resource in states[EMBEDDED].items():
            inputs, options = resource
            assert states[CLI][urn][1] == options, urn
            # The CLI records no zero values, such as `minReadySeconds: 0`.
            differences = [
                field
                for field in compare_objects(states[CLI][urn][0], inputs)
                if field.old is not None or field.new
            ]
            assert not differences, f"{urn}: {differences}"

    def compare_outputs(self) -> None:
        """Compares what the verb `outputs` prints; `up` prints the same, which it compares."""
        outputs = self.run("outputs", "dev", "--json")
        texts = [self._rename(name, run.stdout) for name, run in outputs.items()]
        assert texts[0] == texts[1]

    def _rename(self, name: str, text: str) -> str:
        """Returns a text without what differs by chance: the Namespace and the addresses."""
        return _ADDRESS.sub("10.96.0.0", text.replace(self._projects[name].namespace, "ns"))

    def _read_changes(self, name: str, text: str) -> list[str]:
        document = json.loads(self._rename(name, text))
        lines = []
        for change in document["changes"]:
            if change["op"] == "same":
                lines.append(f"same {change['kind']} {change['object']}")
                continue
            start = f"{change['op']} {change['kind']} {change['object']}"
            lines.append(f"{start} {change.get('note') or ''}".strip())
            lines += [
                f"{start}: {field['path']} {field['old']} -> {field['new']}"
                for field in change["fields"]
            ]
        return lines

    def _read_summary(self, name: str, text: str) -> list[str]:
        """Returns what `up` prints at its end: Deployments, their images and Pods, and outputs."""
        done, _, outputs = self._rename(name, text).partition("\noutputs\n")
        pods = [line for line in done.splitlines() if re.search(r"  Deployment .*\d+/\d+$", line)]
        return [*pods, outputs]

    def _list_objects(self, name: str) -> dict[str, Object]:
        namespace = f"{self._projects[name].namespace}-dev"
        return {
            f"{kind} {item['metadata']['name']}": self._normalize(name, item)
            for api_version, kind in KINDS
            for item in self._kube.list_objects(api_version, kind, namespace)
            if item["metadata"]["name"] not in _OTHERS
        }

    def _normalize(self, name: str, item: Object) -> Object:
        """Returns an object without what the server chooses; its managers without their times."""
        metadata = item["metadata"]
        managers = {
            # The CLI creates under one name, and updates under another one with random digits.
            re.sub(r"^pulumi-kubernetes(-\w+)?$", "ours", entry["manager"])
            for entry in metadata["managedFields"]
            if not entry.get("subresource")
        }
        kept = {key: value for key, value in metadata.items() if key not in SERVER_METADATA}
        annotations = kept.get("annotations") or {}
        annotations.pop("deployment.kubernetes.io/revision", None)
        obj = {key: value for key, value in item.items() if key not in ("status", "metadata")}
        shown = {**obj, "metadata": {**kept, "annotations": annotations}, "managers": managers}
        spec = {k: v for k, v in (obj.get("spec") or {}).items() if k not in _RANDOM}
        text = json.dumps({**shown, "spec": spec}, default=sorted, sort_keys=True)
        return dict(json.loads(self._rename(name, text)))

    def _read_state(self, name: str) -> dict[str, tuple[Object, Object]]:
        """Returns the inputs and the options of each recorded resource, by URN."""
        path = self._projects[name].root / ".state/.pulumi/stacks/modelcatalog/dev.json"
        latest = json.loads(self._rename(name, path.read_text()))["checkpoint"]["latest"]
        assert "pending_operations" not in latest
        found = {}
        for resource in latest.get("resources") or ():
            options = {key: resource.get(key) or None for key in _OPTIONS}
            options["parent"] = resource.get("parent")
            options["dependencies"] = sorted(resource.get("dependencies") or ())
            found[resource["urn"]] = (_without_ciphertext(resource.get("inputs") or {}), options)
        return found


def _without_ciphertext(tree: Any) -> Any:
    """Returns the inputs with all encrypted values alike: each one has a nonce of its own."""
    if isinstance(tree, dict):
        if "ciphertext" in tree:
            return {**tree, "ciphertext": "any"}
        return {key: _without_ciphertext(value) for key, value in tree.items()}
    return [_without_ciphertext(item) for item in tree] if isinstance(tree, list) else tree
