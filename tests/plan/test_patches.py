"""The `patch` of a model: laid over what is rendered, visible in the plan, refused at its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from framework.core.diagnostics import Code, group_diagnostics
from framework.output.diagnostics import read_lines, render_diagnostics
from framework.plan import cache, kubernetes_fields
from framework.plan.patch_fields import find_field_diagnostics
from framework.plan.stack import CheckedCatalog
from tests.plan.small_catalog import PROD, check, write_files
from tests.plan.test_coverage import FIELDS, build_covered

A = "catalog/a.yaml"
OVERLAY = "environments/prod/models/a.yaml"
CANARY = "+canary: {candidate: {image: {tag: v2}%s}}\n"
SPEC = "spec: {template: {spec: %s}}"
HPA = "autoscaling: {minReplicas: 2, maxReplicas: 5, cpu: 50}\n"


def _check(tmp_path: Path, text: str, **more: str) -> CheckedCatalog:
    return check(write_files(tmp_path, {A: f"+{text}", **more}))


def _deployments(checked: CheckedCatalog) -> dict[str, dict[str, Any]]:
    manifests = checked.models[0].manifests
    return {m.name: m.object for m in manifests if m.kind == "Deployment"}


def _pods(checked: CheckedCatalog) -> dict[str, dict[str, Any]]:
    return {name: d["spec"]["template"]["spec"] for name, d in _deployments(checked).items()}


def test_a_patch_merges_named_items_and_null_takes_away(tmp_path: Path) -> None:
    container = "{name: model, stdin: true, env: [{name: A, value: x}], lifecycle: null}"
    checked = _check(
        tmp_path, "env: {B: y}\npatch:\n  Deployment: {" + SPEC % f"{{containers: [{container}]}}}}"
    )
    assert checked.diagnostics == ()
    (model,) = _pods(checked)["a"]["containers"]
    assert [item["name"] for item in model["env"]] == ["B", "A"]
    assert model["stdin"] is True
    assert "lifecycle" not in model
    at = "spec.template.spec.containers[model]."
    fields = tuple(f"{at}{name}" for name in ("env[A].value", "lifecycle", "stdin"))
    assert checked.models[0].patched == {"Deployment/a": fields}


def test_an_environment_may_patch_more_or_take_a_patch_away(tmp_path: Path) -> None:
    text = (
        "patch: {Deployment: {spec: {revisionHistoryLimit: 3}}, Service: {spec: {clusterIP: x}}}\n"
    )
    overlay = "patch: {Service: null, Deployment: {metadata: {annotations: {a: b}}}}\n"
    checked = _check(tmp_path, text, **{OVERLAY: overlay})
    assert checked.models[0].patched == {
        "Deployment/a": ("metadata.annotations.a", "spec.revisionHistoryLimit")
    }


def test_values_may_be_interpolated(tmp_path: Path) -> None:
    checked = _check(tmp_path, "patch: {Deployment: {" + SPEC % "{nodeName: '${name}-1'}" + "}}")
    assert _pods(checked)["a"]["nodeName"] == "a-1"


@pytest.mark.parametrize(
    ("patch", "canary", "expected"),
    [
        pytest.param("Deployment: {%s}", "", {"a": "n", "a-canary": "n"}, id="both tracks"),
        pytest.param("Deployment/canary: {%s}", "", {"a": "", "a-canary": "n"}, id="canary alone"),
        pytest.param("", ", patch: {Deployment: {%s}}", {"a": "", "a-canary": "n"}, id="candidate"),
    ],
)
def test_tracks_are_patched_together_or_apart(
    patch: str, canary: str, expected: dict[str, str], tmp_path: Path
) -> None:
    content = SPEC % "{nodeName: n}"
    text = CANARY % (canary % content if canary else "")
    text += f"patch: {{{patch % content}}}\n" if patch else ""
    pods = _pods(_check(tmp_path, text[1:]))
    assert {name: pod.get("nodeName", "") for name, pod in pods.items()} == expected


def test_a_patch_of_the_canary_waits_for_a_candidate(tmp_path: Path) -> None:
    checked = _check(tmp_path, "patch: {Deployment/canary: {spec: {revisionHistoryLimit: 3}}}")
    assert (checked.diagnostics, checked.models[0].patched) == ((), {})


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ("§Deploymnt: {}", 'did you mean "Deployment"?'),
        ("§Deployment/canry: {}", 'did you mean "Deployment/canary"?'),
        ("§Secret: {}", "is no kind of object that a model is made of"),
        ("§Ingress: {}", "this model has no Ingress; set ingress"),
        ("§Service/canary: {}", "expected Service"),
        ("Deployment: {apiVersion: §v2}", "it tells which object this is"),
        ("Deployment: {metadata: {name: §x}}", "it tells which object this is"),
        ("Deployment: {metadata: {namespace: §x}}", "it tells which object this is"),
        ("Deployment: {metadata: {resourceVersion: §'1'}}", "the cluster writes it"),
        ("Service: {metadata: {managedFields: §[]}}", "the cluster writes it"),
        ("Deployment: {spec: {template: {metadata: {name: §x}}}}", "the cluster writes it"),
        ("Deployment: {%s}" % (SPEC % "{ephemeralContainers: §[{name: x, image: y}]}"),
         "a Pod template cannot have them"),
        ("Deployment: {%s}" % (SPEC % "{containers: §{name: model}}"), "expected a list"),
        ("Deployment: {spec: §5}", "is 5; expected a mapping"),
        ("Deployment: {metadata: §null}", "it tells which object this is"),
        ("Deployment: {metadata: {labels: {modelcatalog/owner: §x}}}", "never change"),
        ("Deployment: {spec: {selector: §{matchLabels: {x: y}}}}", "never change"),
        ("Deployment: {spec: {template: {metadata: {labels: {modelcatalog/track: §x}}}}}",
         "never change"),
        ("Deployment: {spec: {template: {$patch: §replace}}}", "never change"),
        ("Deployment: {spec: {replicas: §3}}", "set replicas"),
        ("Deployment: {spec: {paused: §true}}", "no update would ever end"),
        ("Deployment: {spec: {strategy: §{type: Recreate}}}", "set rollout.maxSurge"),
        ("Deployment: {%s}" % (SPEC % "{containers: [{name: model, image: §x}]}"), "set image"),
        ("Deployment: {%s}" % (SPEC % "{containers: [{name: model, $patch: §delete}]}"),
         "set image"),
        ("Service: {spec: {selector: §{x: y}}}", "never change"),
        ("ServiceAccount: {kind: §X}", "it tells which object this is"),
        ("Service: {spec: {ports: §{http: 1}}}", "is a mapping; expected a list"),
    ],
    ids=lambda value: value if "{" in value else "",
)  # fmt: skip
def test_what_a_patch_may_not_touch_is_told_at_its_line(
    patch: str, words: str, tmp_path: Path
) -> None:
    text = f"patch: {{{patch}}}\n"
    checked = _check(tmp_path, text.replace("§", ""))
    (diagnostic,) = checked.diagnostics
    position = f"{A}:4:{text.index('§') + 1}"
    assert (diagnostic.position, diagnostic.code, diagnostic.model) == (
        position,
        Code.BAD_PATCH,
        "a",
    )
    assert words in diagnostic.message
    assert checked.models[0].patched == {}


def test_replicas_belong_to_the_autoscaler_where_there_is_one(tmp_path: Path) -> None:
    checked = _check(tmp_path, HPA + "patch: {Deployment: {spec: {replicas: 3}}}\n")
    assert [diagnostic.message for diagnostic in checked.diagnostics] == [
        "patch.Deployment.spec.replicas cannot be patched: it is the autoscaler's; set "
        "autoscaling.minReplicas"
    ]


def test_a_candidate_patches_its_own_track_alone(tmp_path: Path) -> None:
    text = CANARY % ", patch: {Service: {spec: {clusterIP: x}}}"
    checked = _check(tmp_path, text[1:])
    assert [(f.position, f.code) for f in checked.diagnostics] == [(f"{A}:4:48", Code.BAD_PATCH)]
    assert "of both tracks" in checked.diagnostics[0].message


def test_a_bad_patch_of_a_shared_layer_is_told_where_it_is_written(tmp_path: Path) -> None:
    shared = "namespace: n\noverrides: {patch: {Deployment: {kind: X}}}\n"
    checked = check(write_files(tmp_path, {PROD: shared}))
    assert {diagnostic.position for diagnostic in checked.diagnostics} == {f"{PROD}:2:40"}


POD = "Deployment: {spec: {template: {spec: {%s}}}}"
MODEL = POD % "containers: [{name: model, %s}]"


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        (POD % "§hostNetwrok: true", 'is no field of a PodSpec; did you mean "hostNetwork"?'),
        (POD % "§hostnetwork: true", 'is no field of a PodSpec; did you mean "hostNetwork"?'),
        (POD % "§hostNetwrok: null", 'did you mean "hostNetwork"?'),
        (POD % "§zork: 1", "is no field of a PodSpec in Kubernetes 1."),
        ("Deployment: {§kindd: x}", 'is no field of a Deployment; did you mean "kind"?'),
        ("Deployment: {spec: {§hostNetwork: true}}",
         'of a DeploymentSpec; a PodSpec has it: did you mean "template.spec.hostNetwork"?'),
        (MODEL % "env: [{name: A, §vale: x}]", 'is no field of an EnvVar; did you mean "value"?'),
        (MODEL % "envFrom: [{§secretref: {name: a}}]", 'did you mean "secretRef"?'),
        (MODEL % "livenessProbe: {§path: /x}", 'did you mean "httpGet.path"?'),
        ("Deployment/canary: {spec: {§paues: true}}", 'did you mean "paused"?'),
        ("Service: {spec: {ports: [{port: 80, §targetport: 1}]}}", 'did you mean "targetPort"?'),
        ("Deployment: {spec: {revisionHistoryLimit: §'3'}}",
         'is "3"; expected a whole number: leave the quotes out'),
        ("Deployment: {spec: {revisionHistoryLimit: §3.5}}", "is 3.5; expected a whole number"),
        ("Deployment: {spec: {revisionHistoryLimit: §3000000000}}", "that is not so large"),
        (POD % "hostPID: §'true'", 'is "true"; expected true or false: leave the quotes out'),
        (POD % "nodeName: §1.10", 'is 1.10; expected text: quote it, "1.10"'),
        (POD % "nodeName: §[a]", "is a list; expected text"),
        (POD % "tolerations: §{key: a}", "is a mapping; expected a list"),
        (POD % "tolerations: [§a]", 'is "a"; expected a mapping'),
        (POD % "securityContext: §x", 'is "x"; expected a mapping'),
        ("Deployment: {metadata: {annotations: {a: §1}}}", 'expected text: quote it, "1"'),
        (MODEL % "args: [a, §null]", "is null; expected text"),
        (POD % "volumes: [{name: v, emptyDir: {sizeLimit: §1 Gi}}]", "expected a quantity such as"),
        (MODEL % "livenessProbe: {httpGet: {port: §true}}",
         "is true; expected a whole number or text"),
        (POD % "dnsPolicy: §default",
         'is "default"; expected "ClusterFirst", "ClusterFirstWithHostNet", "Default" or "None"; '
         'did you mean "Default"?'),
        (POD % "containers: [{name: §modl, stdin: true}]",
         'containers[0].name: there is no container "modl"; did you mean "model"? '
         "A new container needs an image"),
        (POD % "containers: [{name: §other}]",
         'there is no container "other"; known: model. A new container needs an image'),
        (POD % "initContainers: [{name: §x}]",
         'there is no container "x". A new container needs an image'),
        (POD % "volumes: [{name: §x}]", "A new volume needs a source such as emptyDir"),
        (MODEL % "volumeMounts: [{mountPath: §/x}]", "A new volumeMount needs a name"),
        (MODEL % "livenessProbe: {httpGet: §{path: /x}}",
         "httpGet lacks port, which an HTTPGetAction needs"),
        (MODEL % "readinessProbe: {httpGet: {port: §null}}",
         "cannot be taken away; an HTTPGetAction needs it"),
        (POD % "containers: [§{name: modl, $patch: delete}]", 'did you mean "model"?'),
        (MODEL % "readinessProbe: {§tcpSocket: {port: 1}}",
         "is a second handler beside httpGet, and a Probe has one; set httpGet: null"),
        (POD % "volumes: [{name: v, emptyDir: {}, §hostPath: {path: /x}}]",
         "is a second source beside emptyDir, and a Volume has one; take emptyDir or hostPath out"),
        (MODEL % "env: [{name: A, value: x, §valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]",
         "is a second value beside value"),
        ("Service: {spec: {ports: §null}}", "no port is left, and a Service needs one"),
        ("Service: {spec: {ports: §[{port: 8080, $patch: delete}]}}", "a Service needs one"),
        (MODEL % "ports: §[{containerPort: 8080, $patch: delete}], startupProbe: null, "
         "readinessProbe: null", 'the Service asks port "http"'),
        (MODEL % "volumeMounts: [{mountPath: /x, name: §x}]",
         'model mounts volume "x", which the Pod has not'),
        (MODEL % "readinessProbe: {httpGet: {port: §htp}}",
         "model's readinessProbe asks port \"htp\", which the container has not"),
        ("Service: {spec: {ports: [{port: 8080, targetPort: §web}]}}",
         'the Service asks port "web", which no container has'),
        (POD % "containers: [{name: §Side_Car, image: x}]", 'is "Side_Car"; expected lower-case'),
        (POD % "containers: [{name: side, image: §''}]", 'is ""; expected an image'),
        (POD % "volumes: [{name: §a.b, emptyDir: {}}]", 'is "a.b"; expected lower-case'),
        (MODEL % "ports: [{containerPort: 9, name: §'99'}]", "expected a port"),
        (MODEL % "env: [{name: §1A, value: x}]", "expected a variable's name"),
        ("Deployment: {metadata: {labels: {§a b: x}}}", "is no such key; expected a label's key"),
        ("Deployment: {metadata: {labels: {a: §x y}}}", "expected at most 63 letters"),
        ("Service: {metadata: {annotations: {§-a: x y}}}", "expected an annotation's key"),
        (POD % "nodeSelector: {a: §/x}", 'is "/x"; expected at most 63 letters'),
        (MODEL % "env: [{name: A, value: x}, {name: §A, value: y}]",
         "is here a second time; items of env are told apart by name"),
        (POD % "containers: [{name: x, image: y}, {name: §x, image: z}]", "a second time"),
    ],
    ids=lambda value: value if "{" in value else "",
)  # fmt: skip
def test_what_the_api_would_refuse_is_told_before(patch: str, words: str, tmp_path: Path) -> None:
    text = f"patch: {{{patch}}}\n"
    checked = _check(tmp_path, text.replace("§", ""))
    (diagnostic,) = checked.diagnostics
    assert (diagnostic.position, diagnostic.code) == (
        f"{A}:4:{text.index('§') + 1}",
        Code.BAD_PATCH,
    )
    assert words in diagnostic.message
    assert checked.models[0].patched == {}


@pytest.mark.parametrize(
    "patch",
    [
        POD % "containers: [{name: side, image: 'r/x:1'}]",
        POD % "volumes: [{name: v, emptyDir: {sizeLimit: 1Gi}}, {name: w, emptyDir: {}}]",
        MODEL % "readinessProbe: {httpGet: {port: 9, path: null}}",
        MODEL % "livenessProbe: {tcpSocket: {port: http}}",
        MODEL % "securityContext: null, env: [{name: A}]",
        POD % "nodeSelector: {$patch: replace, a/b: c}",
        MODEL % "startupProbe: null, livenessProbe: {$patch: replace, tcpSocket: {port: 1}}",
        POD % "overhead: {$patch: replace, cpu: 1}",
        MODEL % "readinessProbe: {httpGet: null, tcpSocket: {port: http}}",
        MODEL % "env: [{name: A, value: ''}], volumeMounts: [{mountPath: /x, name: v}]}], "
        "volumes: [{name: v, emptyDir: {}",
        POD % "containers: [{name: model, ports: [{containerPort: 8080, name: web}], "
        "startupProbe: null, readinessProbe: null}]"
        + ", Service: {spec: {ports: [{port: 8080, targetPort: web}]}}",
        "Deployment: {metadata: {annotations: {any.thing/at-all: x}}}",
    ],
)
def test_what_the_api_would_take_is_laid(patch: str, tmp_path: Path) -> None:
    checked = _check(tmp_path, f"patch: {{{patch}}}\n")
    assert checked.diagnostics == ()
    assert checked.models[0].patched


def test_every_fault_of_a_patch_is_told_in_one_run(tmp_path: Path) -> None:
    lines = (
        "patch:", "  Deployment:", "    kind: X", "    spec:", "      pausd: true",
        "      strategy: {zork: 1}", "      template:", "        spec:", "          hostPID: 1",
        "          containers:", "            - {name: modl}", "            - {image: x}",
        "  Service:", "    spec: {zork: 1}",
    )  # fmt: skip
    checked = _check(tmp_path, "\n".join(lines))
    positions = [(diagnostic.line - 3, diagnostic.column) for diagnostic in checked.diagnostics]
    assert positions == [(3, 11), (5, 7), (6, 17), (9, 20), (11, 22), (12, 15), (14, 12)]


def test_a_field_of_a_shared_layer_is_told_in_each_layer_that_says_it(tmp_path: Path) -> None:
    shared = "namespace: n\noverrides: {patch: {Deployment: {spec: {pausd: true}}}}\n"
    text = "patch: {Deployment: {spec: {pausd: false}}}\n"
    checked = _check(tmp_path, text, **{PROD: shared})
    assert {diagnostic.position for diagnostic in checked.diagnostics} == {
        f"{A}:4:29",
        f"{PROD}:2:41",
    }


def test_a_candidate_s_own_field_is_told_at_its_key(tmp_path: Path) -> None:
    text = (CANARY % ", patch: {Deployment: {spec: {§pausd: true}}}")[1:]
    (diagnostic,) = _check(tmp_path, text.replace("§", "")).diagnostics
    assert diagnostic.position == f"{A}:4:{text.index('§') + 1}"


@pytest.mark.parametrize(
    "patch",
    [
        MODEL % "env: [{name: HUB_TOKEN,\n value: 12345}]",
        MODEL % "env: [{name: HUB_TOKEN,\n valu: '12345'}]",
        MODEL % "env: [{name: HUB_TOKEN,\n value: ['12345']}]",
        MODEL % "args: [--token,\n 12345]",
        "Deployment: {metadata: {annotations: {hub-token:\n 12345}}}",
    ],
)
def test_what_may_be_secret_is_not_told(patch: str, tmp_path: Path) -> None:
    groups = group_diagnostics(_check(tmp_path, f"patch: {{{patch}}}\n").diagnostics)
    assert len(groups) == 1
    assert "12345" not in render_diagnostics(groups, read_lines(tmp_path))


def test_what_is_rendered_for_every_setting_is_of_known_fields(tmp_path: Path) -> None:
    diagnostics = [
        (field, diagnostic)
        for number, (field, text, _, _) in enumerate(FIELDS)
        for manifest in build_covered(tmp_path / str(number), text).manifests
        for diagnostic in find_field_diagnostics(
            manifest.kind, manifest.object, {}, lambda at, value: ""
        )
    ]
    assert diagnostics == []


def test_the_fields_are_read_only_for_a_patch(tmp_path: Path) -> None:
    kubernetes_fields._load.cache_clear()
    assert _check(tmp_path, "replicas: 2\n").diagnostics == ()
    assert kubernetes_fields._load.cache_info().currsize == 0
    assert _check(tmp_path, "patch: {Deployment: {spec: {pausd: true}}}\n").diagnostics
    assert kubernetes_fields._load.cache_info().currsize == 1


def test_other_fields_are_other_code_to_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_PACKAGE", tmp_path)
    before = cache._code_digest.__wrapped__()
    (tmp_path / "fields.json").write_text("{}")
    assert cache._code_digest.__wrapped__() != before
