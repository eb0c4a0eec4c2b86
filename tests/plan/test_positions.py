"""Every diagnostic points at a value, or at a whole file: never at the first line for want of more.

Line 1 of each file is a comment, so that a position there is wrong.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.core.diagnostics import Code
from tests.plan.small_catalog import FILES, PROD, check_all, write_files

A, B = "catalog/a.yaml", "catalog/b.yaml"
OVERLAY, DEV = "environments/prod/models/a.yaml", "environments/dev/environment.yaml"
NEW = "catalog/_profiles/new.yaml"
CANDIDATE = "candidate: {image: {tag: v2}}"
# By code, the text that is added to files, or the text of a new file.
FAULTS: list[tuple[str, dict[str, str]]] = [
    ("MC002", {A: "args: [\n"}),
    ("MC003", {A: "owner: b\n"}),
    ("MC004", {A: "replicas: 1_0\n"}),
    ("MC005", {A: "1: 2\n"}),
    ("MC006", {A: "args: &a [*a]\n"}),
    ("MC007", {"catalog/X.yml": "a: 1\n"}),
    ("MC007", {"catalog/a.b.yaml": "a: 1\n"}),
    ("MC031", {"environments/prod/models/z.yaml": "replicas: 1\n"}),
    ("MC032", {"catalog/c.yaml": "profiles: [nope]\n"}),
    ("MC033", {OVERLAY: "name: x\n"}),
    ("MC101", {A: "replica: 2\n"}),
    ("MC102", {"catalog/c.yaml": "profiles: [server]\n"}),
    ("MC103", {A: "ports: {Bad_Name: 3}\n"}),
    ("MC104", {A: "replicas: x\n"}),
    ("MC105", {A: "disruptionBudget: {}\n"}),
    ("MC105", {A: "service: {ports: null}\nports: null\n"}),
    ("MC106", {A: "patch: {Deployment: {spec: {replicas: 1}}}\n"}),
    ("MC106", {A: "patch: {Nope: {}}\n"}),
    ("MC106", {PROD: "overrides: {patch: {Deployment: {spec: {template: {spec: {volumes: "
                     "[{name: x}]}}}}}}\n"}),
    ("MC107", {A: "objects: {o: {apiVersion: v1, kind: Secret}}\n"}),
    ("MC201", {OVERLAY: "resources: 3\n"}),
    ("MC202", {A: "description: '${oc.env:X}'\n"}),
    ("MC203", {A: "description: '${nope}'\n"}),
    ("MC204", {A: "description: '${description}'\n"}),
    ("MC301", {OVERLAY: "startupSeconds: 700\n"}),
    ("MC301", {PROD: "overrides: {rollout: {maxSurge: 0}}\n"}),
    ("MC302", {PROD: "capacity: {pods: 4}\n"}),
    ("MC303", {OVERLAY: f"canary: {{size: 4, mode: within, {CANDIDATE}}}\n"}),
    ("MC304", {PROD: "cluster: {kubernetesVersion: '1.29'}\n"}),
    ("MC305", {A: "labels: {modelcatalog/owner: x}\n"}),
    ("MC401", {A: "service: {name: b}\n"}),
    ("MC401", {DEV: "---\n", PROD: ""}),
    ("MC402", {A: "ingress: {host: x.com}\n", B: "ingress: {host: x.com}\n"}),
    ("MC402", {B: "ingress: {host: x.com}\n", A: "objects: {i: {apiVersion: networking.k8s.io/v1, "
               "kind: Ingress, spec: {rules: [{host: x.com, http: {paths: [{path: /, pathType: "
               "Prefix, backend: {service: {name: x, port: {number: 1}}}}]}}]}}}\n"}),
    ("MC403", {PROD: "capacity: {pods: 6}\n"}),
    ("MC404", {PROD: "policy: {requireLabels: [x], minReplicas: 9, requireDigest: true, "
                     "requireLimits: [cpu], requireProbes: [liveness], allowedOwners: [z], "
                     "allowedRegistries: [x.io]}\n"}),
    ("MC404", {PROD: "policy: {podSecurity: restricted}\n"
                     "overrides: {security: {standard: none}}\n"}),
    ("MC405", {A: "waivers: {nope: {reason: x, until: '2099-01-01'}}\n"}),
    ("MC406", {PROD: "promotesTo: nope\n"}),
    ("MC406", {PROD: "promotesTo: dev\n", DEV: "promotesTo: prod\n"}),
    ("MC901", {NEW: "replicas: 1\n"}),
    ("MC902", {A: "enabled: false\n", OVERLAY: "replicas: 2\n"}),
    ("MC903", {OVERLAY: "replicas: 4\n"}),
    ("MC904", {A: "args: ['for name in x; do ${name}; done']\n"}),
    ("MC905", {A: "args: ['$(NOPE)']\n"}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "added"), FAULTS)
def test_no_diagnostic_points_at_the_first_line(
    tmp_path: Path, code: str, added: dict[str, str]
) -> None:
    files = {path: f"# A comment.\n{text}" for path, text in FILES.items()}
    for path, text in added.items():
        files[path] = files.get(path, "# A comment.\n") + text
    if code == "MC401" and PROD in added:
        files[DEV] = files[PROD]
    found = check_all(write_files(tmp_path, files))
    assert code in {diagnostic.code.value for diagnostic in found}
    assert [diagnostic.position for diagnostic in found if diagnostic.line == 1] == []


def test_every_code_is_tested() -> None:
    # MC001 is about files that cannot be read.
    assert {code.value for code in Code} - {code for code, _ in FAULTS} == {"MC001"}
