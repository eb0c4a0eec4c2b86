"""`import` writes entries that render to the manifests they came from."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from framework.cli.importing import run_import
from framework.cluster.local import LocalCluster
from framework.core.errors import ConfigError, FrameworkError, UsageError
from framework.edits.importing.dry_run import compare_on_server
from framework.edits.importing.importer import Imported, import_manifests
from framework.edits.importing.manifests import read_manifests
from framework.edits.importing.proof import compare
from framework.kube.client import KubeClient
from framework.output.importing import render_import
from tests.edits.conftest import Snapshot, Write
from tests.edits.manifests import CHAT, TWO_CONTAINERS, change, change_spec, make_live

# Defaults of a catalog that some manifests have otherwise.
PLAIN = {"catalog/_defaults.yaml": "preStopSeconds: 5\nrollout: {maxSurge: 1}\n"}


_SECRET = "---\n{apiVersion: v1, kind: Secret, metadata: {name: hub}, data: {a: YQ==}}\n"


def import_one(root: Path, text: str) -> Imported:
    """Imports the only Deployment of a text, without profiles."""
    sources = read_manifests(["-"], text)
    (model,) = import_manifests(root, sources, profiles=(), owner="team-x").models
    assert model.errors == ()
    return model


def run(root: Path, *files: Path | str, **options: Any) -> int:
    defaults: dict[str, Any] = dict.fromkeys(("file", "base", "model", "profile"))
    arguments = {**defaults, "owner": "team-x", "yes": False, "json": False, **options}
    return run_import(root, argparse.Namespace(environment=[*map(str, files)], **arguments))


def save(root: Path, text: str, name: str = "manifests/chat.yaml") -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
    return root / name


@pytest.mark.parametrize("text", [CHAT, TWO_CONTAINERS], ids=["chat", "two containers"])
def test_entry_renders_to_the_manifests_by_settings_alone(write: Write, text: str) -> None:
    model = import_one(write(PLAIN), text)
    proof = model.proof
    assert (proof.remaining, proof.added) == ([], [])
    assert proof.objects == []
    assert proof.by_setting > 25
    assert proof.by_patch == 0
    assert "patch" not in model.entry


def test_startup_probe_with_a_single_try_keeps_its_threshold(write: Write) -> None:
    # One try leaves no time to start, which startupSeconds cannot say.
    model = import_one(write(PLAIN), CHAT.replace("failureThreshold: 60", "failureThreshold: 1"))
    assert model.entry["probes"]["startup"]["failureThreshold"] == 1
    assert "startupSeconds" not in model.entry
    assert model.proof.by_patch == 0


def test_entry_has_settings_and_no_defaults(write: Write) -> None:
    entry = import_one(write(PLAIN), CHAT).entry
    assert list(entry)[:3] == ["owner", "image", "startupSeconds"]
    assert entry["image"] == {"repository": "docker.io/vllm/vllm-openai", "tag": "v0.10.1"}
    assert entry["env"]["POD_IP"] == {"field": "status.podIP"}
    assert entry["startupSeconds"] == 295
    assert entry["autoscaling"] == {"minReplicas": 2, "maxReplicas": 6, "cpu": 70}
    assert entry["disruptionBudget"] == {"minAvailable": 1}
    assert entry["rollout"] == {
        "maxSurge": "25%", "maxUnavailable": "25%", "revisionHistoryLimit": 10
    }  # fmt: skip
    assert entry["preStopSeconds"] == 0
    assert entry["labels"] == {"app": "chat"}
    assert entry["podLabels"] == {"version": "v1"}
    assert "terminationGracePeriodSeconds" not in entry


@pytest.mark.parametrize("kind", ["List", "DeploymentList"])
def test_objects_from_a_cluster_give_the_same_entry(write: Write, kind: str) -> None:
    root = write(PLAIN)
    live = [make_live(obj) for obj in yaml.safe_load_all(CHAT)]
    deployment, *others = live
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": live})
    if kind == "DeploymentList":
        del deployment["kind"]
        text = yaml.safe_dump_all(
            [{"apiVersion": "apps/v1", "kind": kind, "items": [deployment]}, *others]
        )
    model = import_one(root, text)
    assert model.entry == import_one(root, CHAT).entry
    assert model.proof.remaining == []
    assert "nodePort 31251 of Service chat removed: the cluster has chosen it" in (
        model.translation.renamed
    )


def test_address_and_port_of_the_nodes_stay_if_the_author_has_chosen_them(write: Write) -> None:
    deployment, service, *_ = map(make_live, yaml.safe_load_all(CHAT))
    service["spec"]["type"] = "NodePort"
    applied = {"kubectl.kubernetes.io/last-applied-configuration": '{"nodePort": 31251}'}
    service["metadata"]["annotations"] = applied
    entry = import_one(write(PLAIN), yaml.safe_dump_all([deployment, service])).entry
    assert entry["ports"]["http"]["nodePort"] == 31251
    # In a manifest that is not live, an author has chosen everything.
    chosen = {"type": "NodePort", "ports": [{"port": 80, "targetPort": 8000, "nodePort": 30007}]}
    text = yaml.safe_dump_all([deployment, change_spec(CHAT, "Service", chosen)])
    assert import_one(write(PLAIN), text).entry["ports"]["http"]["nodePort"] == 30007
    headless = make_live(change_spec(CHAT, "Service", {}))
    headless["spec"] |= {"clusterIP": "None", "clusterIPs": ["None"]}
    del headless["spec"]["ports"][0]["nodePort"]
    text = yaml.safe_dump_all([deployment, headless])
    assert import_one(write(PLAIN), text).entry["service"]["headless"] is True


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("resources: [all.yaml]\nnamespace: prod\n", ""),
        ("kind: Kustomization\nresources: [all.yaml]\nimages: [{name: a, newTag: b}]\n", "images"),
        ("resources: [../base]\n", "resources: ../base"),
        ("kind: Component\npatches: [{path: a.yaml}]\n", "patches"),
    ],
    ids=["renders them as they are", "images", "another folder", "component"],
)
def test_kustomize_file_is_read_only_if_it_changes_nothing(
    tmp_path: Path, text: str, cause: str
) -> None:
    (tmp_path / "kustomization.yaml").write_text(text)
    (tmp_path / "all.yaml").write_text(CHAT)
    if not cause:
        assert len(read_manifests([str(tmp_path)])) == 4
        return
    with pytest.raises(ConfigError, match=re.escape(f"is a Kustomize file ({cause})")):
        read_manifests([str(tmp_path)])


def test_items_of_a_list_have_their_own_positions() -> None:
    text = (
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n"
        "  metadata: {name: a}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n"
    )
    found = [(s.name, str(s.position)) for s in read_manifests(["-"], text)]
    assert found == [("a", "-:4:3"), ("b", "-:7:3")]


def test_objects_that_kubernetes_creates_in_every_namespace_are_not_read() -> None:
    made = {"resourceVersion": "1", "name": "kube-root-ca.crt"}
    text = yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": made})
    assert read_manifests(["-"], text) == []


@pytest.mark.parametrize(
    ("path", "value", "setting", "expected"),
    [
        ("spec.minReadySeconds", 7, "rollout.minReadySeconds", 7),
        ("spec.template.spec.hostIPC", True, "scheduling.hostIPC", True),
        ("spec.template.spec.runtimeClassName", "nvidia", "scheduling.runtimeClass", "nvidia"),
        ("spec.template.spec.terminationGracePeriodSeconds", 90,
         "terminationGracePeriodSeconds", 90),
        ("spec.template.spec.hostAliases", [{"ip": "10.0.0.1", "hostnames": ["a.example"]}],
         "pod.hostAliases", {"10.0.0.1": ["a.example"]}),
        ("spec.template.spec.securityContext",
         {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
         "security", {"standard": "baseline", "runAsNonRoot": True, "runAsUser": 1000}),
        ("spec.template.spec.containers.0.tty", True, "tty", True),
        ("spec.template.spec.containers.0.lifecycle",
         {"preStop": {"exec": {"command": ["sleep", "5"]}}},
         "lifecycle", {"preStop": {"exec": {"command": ["sleep", "5"]}}}),
        ("spec.template.spec.containers.0.readinessProbe.httpGet.httpHeaders",
         [{"name": "X-A", "value": ""}, {"name": "X-B", "value": "b"}, {"name": "X-C"}],
         "probes.readiness.httpGet.httpHeaders", {"X-A": "", "X-B": "b", "X-C": ""}),
        ("spec.strategy", {"type": "Recreate"}, "rollout.strategy", "Recreate"),
        ("spec.template.spec.containers.0.startupProbe", None, "probes.startup", False),
        # No setting has this field, so it becomes a patch.
        ("spec.template.spec.setHostnameAsFQDN", True,
         "patch.Deployment.spec.template.spec", {"setHostnameAsFQDN": True}),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)  # fmt: skip
def test_field_becomes_a_setting_or_a_patch(
    write: Write, path: str, value: Any, setting: str, expected: Any
) -> None:
    model = import_one(write(PLAIN), change(CHAT, path, value))
    found: Any = model.entry
    for key in setting.split("."):
        found = found[key]
    assert found == expected
    assert (model.proof.remaining, model.proof.added) == ([], [])


@pytest.mark.parametrize(
    "value",
    ["hf_abcdef", "it's: hf_abcdef", "-----BEGIN PRIVATE KEY-----\nhf_abcdef\nxyz\n"],
    ids=["plain", "quoted", "several lines"],
)
def test_secret_in_a_plain_value_is_named_and_not_shown(
    write: Write, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    root = write(PLAIN)
    line = f"              value: {json.dumps(value)}"
    text = re.sub(r"(?m)^ *valueFrom: \{secretKeyRef.*$", lambda match: line, CHAT)
    assert run(root, save(root, text)) == 0
    output = capsys.readouterr().out
    assert "hf_abcdef" not in output
    assert "the value of HUB_TOKEN is in the file" in output
    assert "hf_abcdef" in (root / "catalog/chat.yaml").read_text()


def test_written_entry_is_valid_and_text_with_dollars_reads_back(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write(PLAIN)
    assert run(root, save(root, CHAT)) == 0
    assert "make preview ENV=dev MODEL=chat" in capsys.readouterr().out
    assert r"--path=\\${HOME}" in (root / "catalog/chat.yaml").read_text()


def test_existing_file_is_replaced_only_with_yes(write: Write, snapshot: Snapshot) -> None:
    root = write(PLAIN)
    file = save(root, CHAT.replace("name: chat\n", "name: a\n", 1))
    before = snapshot(root)
    with pytest.raises(UsageError, match=r"catalog/a\.yaml exists already"):
        run(root, file)
    assert snapshot(root) == before
    run(root, file, yes=True)
    assert "Imported from" in (root / "catalog/a.yaml").read_text()


def test_environments_become_overlays_with_the_differences(write: Write) -> None:
    root = write({**PLAIN, "catalog/_profiles/none.yaml": "# Nothing.\n"})
    base = save(root, CHAT, "base/chat.yaml").parent
    prod = CHAT.replace("v0.10.1", "v0.10.2").replace("maxReplicas: 6", "maxReplicas: 12")
    save(root, prod, "rendered/chat.yaml")
    assert run(root, f"prod={root / 'rendered'}", base=str(base), profile="none") == 0
    overlay = yaml.safe_load((root / "environments/prod/models/chat.yaml").read_text())
    assert overlay == {"image": {"tag": "v0.10.2"}, "autoscaling": {"maxReplicas": 12}}
    assert not (root / "environments/dev/models/chat.yaml").exists()


def test_objects_that_only_one_environment_has_are_named(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write({**PLAIN, "catalog/_profiles/none.yaml": "# Nothing.\n"})
    base = save(root, CHAT + _SECRET, "base/chat.yaml").parent
    other = "---\n{apiVersion: a/v1, kind: Route, metadata: {name: only-prod}}\n"
    more = TWO_CONTAINERS + other + _SECRET
    no_cpu = CHAT.replace("cpu: 500m, ", "")
    save(root, no_cpu + "---\n" + more, "rendered/chat.yaml")
    run(root, f"prod={root / 'rendered'}", base=str(base), profile="none")
    output = " ".join(capsys.readouterr().out.split())
    assert "Deployment ranker " in output
    assert "Route only-prod " in output
    assert output.count("Secret hub ") == 1
    # What the environment's own manifests cannot have is listed under its name.
    overlay = output.partition("prod environments/prod")[2]
    assert "left out HorizontalPodAutoscaler chat-scaler" in overlay
    assert "BASE has no Deployment of this name" in overlay


def test_profile_that_fits_is_chosen_and_shortens_the_entry(write: Write) -> None:
    profile = (
        "image: {repository: docker.io/vllm/vllm-openai}\nstartupSeconds: 295\n"
        "scheduling: {nodeSelector: {gpu: l4}}\n"
    )
    root = write({**PLAIN, "catalog/_profiles/vllm.yaml": profile})
    sources = read_manifests(["-"], CHAT)
    (model,) = import_manifests(root, sources, owner="team-x").models
    assert model.profiles == ("vllm",)
    assert model.entry["image"] == {"tag": "v0.10.1"}
    assert "startupSeconds" not in model.entry
    assert model.proof.remaining == []


def test_shared_settings_become_a_profile_with_yes(write: Write) -> None:
    root = write(PLAIN)
    twin = CHAT.replace("chat", "twin").replace("value: llama", "value: other")
    run(root, save(root, CHAT + "---" + twin), yes=True)
    profile = yaml.safe_load((root / "catalog/_profiles/vllm-openai.yaml").read_text())
    assert profile["image"] == {"repository": "docker.io/vllm/vllm-openai"}
    entry = yaml.safe_load((root / "catalog/twin.yaml").read_text())
    assert entry["profiles"][-1] == "vllm-openai"
    assert entry["env"] == {"MODEL_ID": "other"}


def test_shared_profile_is_valid_without_the_models(write: Write) -> None:
    root = write(PLAIN)
    twin = CHAT.replace("chat", "twin").replace("value: llama", "value: other")
    twin = twin.replace("path: /health", "path: /ready").replace(
        "claimName: model", "claimName: my"
    )
    run(root, save(root, CHAT + "---" + twin), yes=True)
    profile = yaml.safe_load((root / "catalog/_profiles/vllm-openai.yaml").read_text())
    # They share the timeouts of probes, and not the actions.
    assert "probes" not in profile
    assert "models" not in profile["volumes"]
    assert profile["volumes"]["shm"]["mountPath"] == "/dev/shm"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (change(CHAT, "spec.template.spec.containers.0.ports", 8000), FrameworkError,
         "spec.template.spec.containers[0].ports has the wrong type; expected a list"),
        ("{kind: Service, apiVersion: v1, metadata: {annotations: []}}", ConfigError,
         "metadata.name is missing"),
        ("{kind: Service, apiVersion: v1, metadata: {name: a}}", ConfigError,
         "Service: spec is missing; expected a mapping"),
        (change(CHAT, "spec.template.spec.initContainers", [{"image": "x"}]), FrameworkError,
         "a container of the Deployment chat has no name"),
        ("a: [", ConfigError, "not valid YAML"),
        ("a: {{ .Values.x }}", ConfigError, "a Helm template; render it first"),
        ("a: 1", ConfigError, "is not a Kubernetes object"),
        ("{kind: Job, apiVersion: batch/v1, metadata: {name: a}, spec: {}}", UsageError,
         "no Deployment (they have Job)"),
        (change(CHAT, "spec.template.spec.containers.0", {"name": "x"}), FrameworkError,
         "has no image; a Kustomize patch is only a part"),
    ],
    ids=["shape", "no name", "no spec", "unnamed container", "syntax", "template", "other YAML",
         "no Deployment", "no image"],
)  # fmt: skip
def test_manifests_that_cannot_be_imported_are_explained(
    write: Write, snapshot: Snapshot, text: str, error: type[Exception], message: str
) -> None:
    root = write(PLAIN)
    file = save(root, text)
    before = snapshot(root)
    with pytest.raises(error, match=re.escape(message)):
        run(root, file)
    assert snapshot(root) == before


def test_objects_without_a_setting_are_kept_as_they_are_and_secrets_are_listed(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write(PLAIN)
    others = """
---
{apiVersion: v1, kind: Secret, metadata: {name: hub}, data: {a: YQ==}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: chat-runner}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: chat}
spec: {defaultBackend: {service: {name: chat, port: {number: 80}}}}
"""
    model = import_one(root, CHAT + others)
    assert {(o["kind"], o["metadata"]["name"]) for o in model.entry["objects"].values()} == {
        ("ServiceAccount", "chat-runner"), ("Ingress", "chat")
    }  # fmt: skip
    assert (model.proof.remaining, model.proof.added) == ([], [])
    run(root, save(root, CHAT + others))
    output = " ".join(capsys.readouterr().out.split())
    assert "secrets stay outside the catalog" in output
    # A model has no setting for an Ingress without a host, and the reason is given once.
    assert "Ingress chat: ingress has no host" in output
    assert "refused" not in output


# The manifests of `chat`, in which the container has no CPU request.
NO_CPU = CHAT.replace("cpu: 500m, ", "")
_METRIC = """    - type: Resource
      resource: {name: memory, target: {type: Utilization, averageUtilization: 80}}
    - type: External
      external: {metric: {name: queue-size}, target: {type: AverageValue, averageValue: "5"}}
---
apiVersion: policy/v1
"""
NO_CPU_BUT_OTHERS = NO_CPU.replace("---\napiVersion: policy/v1\n", _METRIC)


def test_metric_that_cannot_be_computed_is_dropped_and_the_others_stay(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write(PLAIN)
    model = import_one(root, NO_CPU_BUT_OTHERS)
    autoscaling = model.entry["autoscaling"]
    assert (autoscaling["minReplicas"], autoscaling["maxReplicas"]) == (2, 6)
    assert (autoscaling["memory"], list(autoscaling["metrics"])) == (80, ["queue-size"])
    assert "cpu" not in autoscaling
    assert "patch" not in model.entry
    # The fields of the metric are counted as not expressed.
    assert [(d.field, d.size) for d in model.proof.remaining] == [
        ("HorizontalPodAutoscaler.spec.metrics[0]", 4)
    ]
    run(root, save(root, NO_CPU_BUT_OTHERS))
    output = " ".join(capsys.readouterr().out.split())
    assert (
        "refused autoscaling.cpu: is a percentage of the request; set resources.requests.cpu as "
        "well" in output
    )


@pytest.mark.parametrize(
    ("replicas", "kept"), [(4, 4), (1, 2), (9, 6)], ids=["between", "below", "above the limits"]
)
def test_autoscaler_without_a_usable_metric_is_left_out_in_one_line(
    write: Write, capsys: pytest.CaptureFixture[str], replicas: int, kept: int
) -> None:
    root = write(PLAIN)
    text = change(NO_CPU, "spec.replicas", replicas)
    model = import_one(root, text)
    assert "autoscaling" not in model.entry
    assert model.entry["replicas"] == kept
    assert [(d.kind, d.wanted) for d in model.proof.remaining] == [
        ("HorizontalPodAutoscaler", "chat")
    ]
    run(root, save(root, text))
    output = capsys.readouterr().out.partition("\n\nwrote")[0]
    (line,) = (part for part in re.split(r"\n  (?=\S)", output) if "PodAutoscaler" in part[:40])
    assert " ".join(line.split()).endswith(
        "autoscaling.cpu is a percentage of the request; set resources.requests.cpu as well; "
        f"the model keeps {kept} replicas"
    )


def test_object_that_is_not_rendered_takes_one_line(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write(PLAIN)
    model = import_one(root, CHAT)
    assert model.plan is not None
    manifests = tuple(m for m in model.plan.manifests if m.kind != "HorizontalPodAutoscaler")
    plan = replace(model.plan, manifests=manifests)
    model.proof = compare(model.translation, plan, plan, {})
    lines = [line for line in render_import([model], {}, {}).splitlines() if "differs" in line]
    assert lines == ["  differs  HorizontalPodAutoscaler chat is not rendered (6 fields)"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("loadBalancerSourceRanges", ["10.0.0.0/8"]),
        ("publishNotReadyAddresses", True),
        ("sessionAffinityConfig", {"clientIP": {"timeoutSeconds": 60}}),
        ("externalIPs", ["192.0.2.1"]),
        ("trafficDistribution", "PreferClose"),
    ],
)
def test_field_of_one_of_two_services_becomes_a_patch_of_it_alone(
    write: Write, field: str, value: Any
) -> None:
    own = {"type": "LoadBalancer", field: value}
    own |= {"sessionAffinity": "ClientIP"} if field == "sessionAffinityConfig" else {}
    deployment, other = list(yaml.safe_load_all(CHAT))[:2]
    other["metadata"]["name"] = "chat-internal"
    text = yaml.safe_dump_all([deployment, change_spec(CHAT, "Service", own), other])
    model = import_one(write(PLAIN), text)
    assert model.entry["patch"] == {"Service/chat": {"spec": {field: value}}}
    assert (model.proof.remaining, model.proof.added) == ([], [])


@pytest.mark.parametrize(
    ("replicas", "defaults", "expected"),
    [
        (2, {}, 2),
        (3, {}, 3),
        (2, {"environments/prod/environment.yaml": "namespace: p\n"}, None),
        (5, {"environments/prod/environment.yaml": "namespace: p\ndefaults: {replicas: 5}\n"}, 5),
    ],
    ids=["as the catalog", "as one environment", "as everywhere", "unlike the catalog"],
)
def test_value_is_written_if_an_environment_has_another_default(
    write: Write, replicas: int, defaults: dict[str, str], expected: int | None
) -> None:
    root = write({"catalog/_defaults.yaml": "replicas: 2\n", **defaults})
    text = change(TWO_CONTAINERS, "spec.replicas", replicas)
    assert import_one(root, text).entry.get("replicas") == expected


def test_setting_that_only_an_environment_has_by_default_is_removed(write: Write) -> None:
    environment = (
        "namespace: p\ndefaults: {disruptionBudget: {maxUnavailable: 1}, env: {REGION: eu}}\n"
    )
    root = write({**PLAIN, "environments/prod/environment.yaml": environment})
    entry = import_one(root, TWO_CONTAINERS).entry
    assert entry["disruptionBudget"] is None
    assert entry["env"] is None


FILES = """
---
apiVersion: v1
kind: ConfigMap
metadata: {name: chat-files}
data: {config.yaml: "beam: ${N}\\n", log.ini: "[root]"}
"""
_MOUNTS = "spec.template.spec.containers.0.volumeMounts"
_ONE_FILE = {"name": "conf", "mountPath": "/etc/chat/config.yaml", "subPath": "config.yaml"}
_LOG = {"name": "conf", "mountPath": "/etc/log.ini", "subPath": "log.ini", "readOnly": True}
_FOLDER = {"name": "conf", "mountPath": "/etc/chat"}


def mount_files(*mounts: Any, **volume: Any) -> str:
    text = change(CHAT + FILES, _MOUNTS, [*mounts])
    source = {"name": "chat-files", **volume}
    return change(text, "spec.template.spec.volumes", [{"name": "conf", "configMap": source}])


@pytest.mark.parametrize(
    ("mounts", "folder", "others"),
    [
        ([_ONE_FILE], None,
         {"config-files": {"path": "/etc/chat/config.yaml", "subPath": "config.yaml"}}),
        ([_FOLDER], "/etc/chat", None),
        ([_LOG, _FOLDER], "/etc/chat",
         {"config-files": {"path": "/etc/log.ini", "readOnly": True, "subPath": "log.ini"}}),
        ([_ONE_FILE, _LOG], None, {
            "config-files": {"path": "/etc/chat/config.yaml", "subPath": "config.yaml"},
            "config-files-2": {"volume": "config-files", "path": "/etc/log.ini", "readOnly": True,
                               "subPath": "log.ini"},
        }),
    ],
    ids=["one file", "folder", "file and folder", "two files"],
)  # fmt: skip
def test_mounted_config_map_becomes_config_files(
    write: Write, mounts: list[Any], folder: str | None, others: Any
) -> None:
    model = import_one(write(PLAIN), mount_files(*mounts))
    config = model.entry["config"]
    assert (config["name"], config["rollOnChange"]) == ("chat-files", False)
    assert config["files"] == {"config.yaml": "beam: ${N}\n", "log.ini": "[root]"}
    assert config.get("mountPath") == folder
    assert model.entry.get("mounts") == others
    assert "objects" not in model.entry
    assert (model.proof.remaining, model.proof.added) == ([], [])
    assert "patch" not in model.entry


def test_config_map_of_a_sidecar_becomes_its_config_files(write: Write) -> None:
    text = change(TWO_CONTAINERS, "spec.template.spec.containers.1.volumeMounts", [])
    mounts = [{"name": "script", "mountPath": "/envoy/start.sh", "subPath": "start.sh"}]
    text = change(text, "spec.template.spec.containers.0.volumeMounts", mounts)
    model = import_one(write(PLAIN), text)
    proxy = model.entry["sidecars"]["proxy"]
    assert proxy["config"]["name"] == "start-script"
    assert proxy["mounts"]["config-files-proxy"]["subPath"] == "start.sh"
    assert (model.proof.remaining, model.proof.added) == ([], [])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (mount_files(_FOLDER, items=[{"key": "log.ini", "path": "a"}]), "its volume sets items"),
        (mount_files(_FOLDER).replace("chat-files", "chat-files", 1) + "immutable: true\n",
         "it has immutable"),
        (CHAT.replace("shared.settings", "chat-files") + FILES, "no volume has its files"),
    ],
    ids=["items", "immutable", "variables"],
)  # fmt: skip
def test_other_config_map_stays_an_object_with_the_reason(
    write: Write, capsys: pytest.CaptureFixture[str], text: str, reason: str
) -> None:
    root = write(PLAIN)
    model = import_one(root, text)
    assert [obj["kind"] for obj in model.entry["objects"].values()] == ["ConfigMap"]
    assert (model.proof.remaining, model.proof.added) == ([], [])
    run(root, save(root, text))
    output = " ".join(capsys.readouterr().out.split())
    assert f"objects ConfigMap chat-files: {reason}" in output


def test_references_to_a_renamed_container_have_its_new_name(write: Write) -> None:
    armor = "container.apparmor.security.beta.kubernetes.io"
    limit = "resourceFieldRef: {containerName: server, resource: limits.memory}"
    text = CHAT.replace(
        "{prometheus.io/scrape:",
        f"{{{armor}/server: runtime/default, kubectl.kubernetes.io/default-container: server, a:",
    )
    text = text.replace("value: llama}", f"valueFrom: {{{limit}}}}}")
    text = text.replace("emptyDir: {medium: Memory, sizeLimit: 2Gi}", "downwardAPI: {items: [%s]}")
    root = write(PLAIN)
    model = import_one(root, text % f"{{path: a, {limit}}}")
    assert model.entry["podAnnotations"] == {
        f"{armor}/model": "runtime/default",
        "kubectl.kubernetes.io/default-container": "model",
        "a": "true",
    }
    assert model.entry["env"]["MODEL_ID"]["container"] == "model"
    assert "server" not in str(model.entry)
    assert (model.errors, model.proof.remaining, model.proof.added) == ((), [], [])


def test_volume_with_a_reserved_name_is_renamed(write: Write) -> None:
    text = CHAT.replace("name: shm", "name: config-files")
    model = import_one(write(PLAIN), text)
    assert list(model.entry["volumes"]) == ["files", "models"]
    assert "volume config-files -> files" in model.translation.renamed
    assert model.proof.remaining == []


@pytest.mark.cluster
@pytest.mark.parametrize("text", [CHAT, TWO_CONTAINERS], ids=["chat", "two containers"])
def test_server_stores_the_same_for_both_sides(
    write: Write, local_cluster: LocalCluster, text: str
) -> None:
    model = import_one(write(PLAIN), text)
    assert model.plan is not None
    with KubeClient.connect(local_cluster.kubeconfig, "local") as client:
        assert compare_on_server(client, model.translation, model.plan) == ([], [])


_SCALED = """
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: chat, finalizers: [finalizer.keda.sh], uid: a}
spec:
  scaleTargetRef: {name: chat}
  minReplicaCount: 2
  maxReplicaCount: 9
  triggers: [{type: cron, metadata: {desiredReplicas: "4"}}]
"""


@pytest.mark.parametrize("name", ["chat", "talk"], ids=["same name", "other name"])
def test_scaled_object_sets_the_number_of_pods_in_place_of_its_autoscaler(
    write: Write, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    root = write(PLAIN)
    # The second Deployment shows that the ScaledObject is not found by its file alone.
    file = save(root, CHAT + _SCALED + "---" + TWO_CONTAINERS)
    assert run(root, file) == 0
    output = " ".join(capsys.readouterr().out.split())
    assert "HorizontalPodAutoscaler chat-scaler" in output
    assert "ScaledObject chat makes it, and is kept" in output
    entry = yaml.safe_load((root / "catalog/chat.yaml").read_text())
    assert entry["autoscaling"] == {"external": True, "minReplicas": 2, "maxReplicas": 9}
    assert "replicas" not in entry

    (model,) = import_manifests(
        root, read_manifests(["-"], CHAT + _SCALED), model=name, profiles=(), owner="team-x"
    ).models
    assert (model.errors, model.proof.remaining) == ((), [])
    (scaled,) = model.entry["objects"].values()
    assert scaled["spec"]["scaleTargetRef"] == {"name": name}
    assert "finalizers" not in scaled["metadata"]


def test_scaled_object_without_valid_limits_stays_as_it_is(write: Write) -> None:
    root = write(PLAIN)
    scaled = _SCALED.replace("maxReplicaCount: 9", "maxReplicaCount: 1")
    model = import_one(root, CHAT + scaled)
    assert "autoscaling" not in model.entry


def test_names_that_a_manifest_leaves_to_its_namespace_follow_the_model(write: Write) -> None:
    root = write(PLAIN)
    binding = """
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: chat, namespace: serving}
subjects:
  - {kind: ServiceAccount, name: chat-runner, namespace: serving}
  - {kind: ServiceAccount, name: watcher, namespace: monitoring}
  - {kind: User, name: ada}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: chat}
"""
    model = import_one(root, CHAT + binding)
    (found,) = model.entry["objects"].values()
    assert [subject.get("namespace") for subject in found["subjects"]] == [
        None,
        "monitoring",
        None,
    ]
    assert (model.proof.remaining, model.proof.added) == ([], [])
    # A shape that the server refuses is an error of `objects`, not a failure of the import.
    import_one(root, CHAT + binding.replace("{kind: User, name: ada}", "ada"))


def test_unnamed_port_of_another_container_gets_a_name(write: Write) -> None:
    root = write(PLAIN)
    text = TWO_CONTAINERS.replace(
        "containerPort: 9000}", "containerPort: 9000}, {containerPort: 9}"
    )
    model = import_one(root, text)
    assert model.entry["sidecars"]["proxy"]["ports"] == {"public": 9000, "port-9": 9}
    assert model.proof.refused == {}


def test_autoscalers_follow_the_new_name_of_the_container(write: Write) -> None:
    root = write(PLAIN)
    scaled = _SCALED.replace("{name: chat}", "{name: chat, envSourceContainerName: server}")
    (found,) = import_one(root, CHAT + scaled).entry["objects"].values()
    assert found["spec"]["scaleTargetRef"]["envSourceContainerName"] == "model"

    text = CHAT.replace("type: Resource", "type: ContainerResource")
    text = text.replace(
        "resource: {name: cpu,", "containerResource: {name: cpu, container: server,"
    )
    model = import_one(root, text)
    (metric,) = model.entry["autoscaling"]["metrics"].values()
    assert metric["containerResource"]["container"] == "model"
    assert model.proof.remaining == []
