"""The `patch` of a model: applied to its manifests, listed in the plan, refused at its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from framework.core.diagnostics import Code, group_diagnostics
from framework.output.diagnostics import read_lines, render_diagnostics
from framework.plan import LoadedPlan, cache
from framework.plan.patch import field_types
from framework.plan.patch.field_checks import find_field_diagnostics
from tests.plan.small_catalog import PROD, check, first_model, write_files
from tests.plan.test_coverage import FIELDS, build_covered

A = "catalog/a.yaml"
OVERLAY = "environments/prod/models/a.yaml"
CANARY = "+canary: {candidate: {image: {tag: v2}%s}}\n"
SPEC = "spec: {template: {spec: %s}}"
HPA = "autoscaling: {minReplicas: 2, maxReplicas: 5, cpu: 50}\n"


def _check(tmp_path: Path, text: str, **more: str) -> LoadedPlan:
    return check(write_files(tmp_path, {A: f"+{text}", **more}))


def _deployments(checked: LoadedPlan) -> dict[str, dict[str, Any]]:
    manifests = first_model(checked).manifests
    return {m.name: m.object for m in manifests if m.kind == "Deployment"}


def _pods(checked: LoadedPlan) -> dict[str, dict[str, Any]]:
    return {name: d["spec"]["template"]["spec"] for name, d in _deployments(checked).items()}


def test_a_patch_merges_named_items_and_null_removes(tmp_path: Path) -> None:
    container = "{name: model, stdin: true, env: [{name: A, value: x}], lifecycle: null}"
    checked = _check(
        tmp_path, "env: {B: y}\npatch:\n  Deployment: {" + SPEC % f"{{containers: [{container}]}}}}"
    )
    assert checked.errors == ()
    (model,) = _pods(checked)["a"]["containers"]
    assert [item["name"] for item in model["env"]] == ["B", "A"]
    assert model["stdin"] is True
    assert "lifecycle" not in model
    at = "spec.template.spec.containers[model]."
    fields = tuple(f"{at}{name}" for name in ("env[A].value", "lifecycle", "stdin"))
    assert first_model(checked).patched == {"Deployment/a": fields}


def test_an_environment_adds_or_removes_a_patch(tmp_path: Path) -> None:
    text = (
        "patch: {Deployment: {spec: {revisionHistoryLimit: 3}}, Service: {spec: {clusterIP: x}}}\n"
    )
    overlay = "patch: {Service: null, Deployment: {metadata: {annotations: {a: b}}}}\n"
    checked = _check(tmp_path, text, **{OVERLAY: overlay})
    assert first_model(checked).patched == {
        "Deployment/a": ("metadata.annotations.a", "spec.revisionHistoryLimit")
    }


def test_a_patched_value_is_interpolated(tmp_path: Path) -> None:
    checked = _check(tmp_path, "patch: {Deployment: {" + SPEC % "{nodeName: '${name}-1'}" + "}}")
    assert _pods(checked)["a"]["nodeName"] == "a-1"


@pytest.mark.parametrize(
    ("patch", "canary", "expected"),
    [
        pytest.param("Deployment: {%s}", "", {"a": "n", "a-canary": "n"}, id="both tracks"),
        pytest.param("Deployment/canary: {%s}", "", {"a": "", "a-canary": "n"}, id="canary alone"),
        pytest.param("Deployment/stable: {%s}", "", {"a": "n", "a-canary": ""}, id="stable alone"),
        pytest.param("", ", patch: {Deployment: {%s}}", {"a": "", "a-canary": "n"}, id="candidate"),
    ],
)
def test_a_patch_applies_to_both_tracks_or_to_the_canary(
    patch: str, canary: str, expected: dict[str, str], tmp_path: Path
) -> None:
    content = SPEC % "{nodeName: n}"
    text = CANARY % (canary % content if canary else "")
    text += f"patch: {{{patch % content}}}\n" if patch else ""
    pods = _pods(_check(tmp_path, text[1:]))
    assert {name: pod.get("nodeName", "") for name, pod in pods.items()} == expected


def test_a_canary_patch_without_a_candidate_is_not_applied(tmp_path: Path) -> None:
    checked = _check(tmp_path, "patch: {Deployment/canary: {spec: {revisionHistoryLimit: 3}}}")
    assert (checked.errors, first_model(checked).patched) == ((), {})


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ("§Deploymnt: {}", 'did you mean "Deployment"?'),
        ("§Deployment/canry: {}", 'did you mean "Deployment/canary"?'),
        ("§Secret: {}", "is not a kind of object that a model can have"),
        ("§Ingress: {}", "this model has no Ingress; set ingress"),
        ("§Service/canary: {}", "expected Service"),
        ("Deployment: {apiVersion: §v2}", "it identifies the object"),
        ("Deployment: {metadata: {name: §x}}", "it identifies the object"),
        ("Deployment: {metadata: {namespace: §x}}", "it identifies the object"),
        ("Deployment: {metadata: {resourceVersion: §'1'}}", "the API server writes it"),
        ("Service: {metadata: {managedFields: §[]}}", "the API server writes it"),
        ("Deployment: {spec: {template: {metadata: {name: §x}}}}", "names its Pods itself"),
        ("Deployment: {%s}" % (SPEC % "{ephemeralContainers: §[{name: x, image: y}]}"),
         "a Pod template cannot have them"),
        ("Deployment: {%s}" % (SPEC % "{containers: §{name: model}}"), "expected a list"),
        ("Deployment: {spec: §5}", "is 5; expected a mapping"),
        ("Deployment: {metadata: §null}", "it identifies the object"),
        ("Deployment: {metadata: {labels: {modelcatalog/owner: §x}}}", "never change"),
        ("Deployment: {spec: {selector: §{matchLabels: {x: y}}}}", "never change"),
        ("Deployment: {spec: {template: {metadata: {labels: {modelcatalog/track: §x}}}}}",
         "never change"),
        ("Deployment: {spec: {template: {$patch: §replace}}}", "never change"),
        ("Deployment: {spec: {replicas: §3}}", "set replicas"),
        ("Deployment: {spec: {paused: §true}}", "an update would never end"),
        ("Deployment: {spec: {strategy: §{type: Recreate}}}", "set rollout.maxSurge"),
        ("Deployment: {%s}" % (SPEC % "{containers: [{name: model, image: §x}]}"), "set image"),
        ("Deployment: {%s}" % (SPEC % "{containers: [{name: model, $patch: §delete}]}"),
         "set image"),
        ("Service: {spec: {selector: §{x: y}}}", "never change"),
        ("ServiceAccount: {kind: §X}", "it identifies the object"),
        ("Service: {spec: {ports: §{http: 1}}}", "is a mapping; expected a list"),
    ],
    ids=lambda value: value if "{" in value else "",
)  # fmt: skip
def test_a_protected_field_is_reported_at_its_line(patch: str, words: str, tmp_path: Path) -> None:
    text = f"patch: {{{patch}}}\n"
    checked = _check(tmp_path, text.replace("§", ""))
    (diagnostic,) = checked.errors
    position = f"{A}:4:{text.index('§') + 1}"
    assert (diagnostic.position, diagnostic.code, diagnostic.model) == (
        position,
        Code.BAD_PATCH,
        "a",
    )
    assert words in diagnostic.message
    assert first_model(checked).patched == {}


def test_replicas_under_an_autoscaler_cannot_be_patched(tmp_path: Path) -> None:
    checked = _check(tmp_path, HPA + "patch: {Deployment: {spec: {replicas: 3}}}\n")
    assert [diagnostic.message for diagnostic in checked.errors] == [
        "patch.Deployment.spec.replicas cannot be patched: the autoscaler sets it; set "
        "autoscaling.minReplicas"
    ]


def test_a_candidate_cannot_patch_a_shared_object(tmp_path: Path) -> None:
    text = CANARY % ", patch: {Service: {spec: {clusterIP: x}}}"
    checked = _check(tmp_path, text[1:])
    assert [(f.position, f.code) for f in checked.errors] == [(f"{A}:4:48", Code.BAD_PATCH)]
    assert "both tracks share one Service" in checked.errors[0].message


def test_a_candidate_cannot_patch_the_stable_track(tmp_path: Path) -> None:
    text = CANARY % ", patch: {Deployment/stable: {spec: {revisionHistoryLimit: 3}}}"
    checked = _check(tmp_path, text[1:])
    assert [(f.position, f.code) for f in checked.errors] == [(f"{A}:4:48", Code.BAD_PATCH)]
    assert "is the stable track; patch it in the model" in checked.errors[0].message


def test_a_bad_patch_in_an_environment_is_reported_there(tmp_path: Path) -> None:
    shared = "namespace: n\noverrides: {patch: {Deployment: {kind: X}}}\n"
    checked = check(write_files(tmp_path, {PROD: shared}))
    assert {diagnostic.position for diagnostic in checked.errors} == {f"{PROD}:2:40"}


POD = "Deployment: {spec: {template: {spec: {%s}}}}"
MODEL = POD % "containers: [{name: model, %s}]"


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        (POD % "§hostNetwrok: true", 'is not a field of a PodSpec; did you mean "hostNetwork"?'),
        (POD % "§hostnetwork: true", 'is not a field of a PodSpec; did you mean "hostNetwork"?'),
        (POD % "§hostNetwrok: null", 'did you mean "hostNetwork"?'),
        (POD % "§zork: 1", "is not a field of a PodSpec in Kubernetes 1."),
        ("Deployment: {§kindd: x}", 'is not a field of a Deployment; did you mean "kind"?'),
        ("Deployment: {spec: {§hostNetwork: true}}",
         'of a DeploymentSpec; a PodSpec has it: did you mean "template.spec.hostNetwork"?'),
        (MODEL % "env: [{name: A, §vale: x}]", 'not a field of an EnvVar; did you mean "value"?'),
        (MODEL % "envFrom: [{§secretref: {name: a}}]", 'did you mean "secretRef"?'),
        (MODEL % "livenessProbe: {§path: /x}", 'did you mean "httpGet.path"?'),
        ("Deployment/canary: {spec: {§paues: true}}", 'did you mean "paused"?'),
        ("Service: {spec: {ports: [{port: 80, §targetport: 1}]}}", 'did you mean "targetPort"?'),
        ("Deployment: {spec: {revisionHistoryLimit: §'3'}}",
         'is "3"; expected a whole number: remove the quotes'),
        ("Deployment: {spec: {revisionHistoryLimit: §3.5}}", "is 3.5; expected a whole number"),
        ("Deployment: {spec: {revisionHistoryLimit: §3000000000}}", "that is not so large"),
        (POD % "hostPID: §'true'", 'is "true"; expected true or false: remove the quotes'),
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
         'containers[0].name: container "modl" does not exist; did you mean "model"? '
         "A new container needs an image"),
        (POD % "containers: [{name: §other}]",
         'container "other" does not exist; known: model. A new container needs an image'),
        (POD % "initContainers: [{name: §x}]",
         'container "x" does not exist. A new container needs an image'),
        (POD % "volumes: [{name: §x}]", "A new volume needs a source such as emptyDir"),
        (MODEL % "volumeMounts: [{mountPath: §/x}]", "A new volumeMount needs a name"),
        (MODEL % "livenessProbe: {httpGet: §{path: /x}}",
         "httpGet lacks port, which an HTTPGetAction requires"),
        (MODEL % "readinessProbe: {httpGet: {port: §null}}",
         "cannot be removed; an HTTPGetAction requires it"),
        (POD % "containers: [§{name: modl, $patch: delete}]", 'did you mean "model"?'),
        (MODEL % "readinessProbe: {§tcpSocket: {port: 1}}",
         "is a second handler beside httpGet; a Probe has one, so set httpGet: null"),
        (POD % "volumes: [{name: v, emptyDir: {}, §hostPath: {path: /x}}]",
         "is a second source beside emptyDir; a Volume has one, so remove emptyDir or hostPath"),
        (MODEL % "env: [{name: A, value: x, §valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]",
         "is a second value beside value"),
        ("Service: {spec: {ports: §null}}", "no port is left; a Service needs one"),
        ("Service: {spec: {ports: §[{port: 8080, $patch: delete}]}}", "a Service needs one"),
        (MODEL % "ports: §[{containerPort: 8080, $patch: delete}], startupProbe: null, "
         "readinessProbe: null", 'the Service targets port "http"'),
        (MODEL % "volumeMounts: [{mountPath: /x, name: §x}]",
         '"x", which is not a volume of the Pod'),
        (MODEL % "readinessProbe: {httpGet: {port: §htp}}",
         "model's readinessProbe uses port \"htp\", which the container does not have"),
        ("Service: {spec: {ports: [{port: 8080, targetPort: §web}]}}",
         'the Service targets port "web", which no container has'),
        (POD % "containers: [{name: §Side_Car, image: x}]", 'is "Side_Car"; expected lower-case'),
        (POD % "containers: [{name: side, image: §''}]", 'is ""; expected an image'),
        (POD % "volumes: [{name: §a.b, emptyDir: {}}]", 'is "a.b"; expected lower-case'),
        (MODEL % "ports: [{containerPort: 9, name: §'99'}]", "expected a port name"),
        (MODEL % "env: [{name: §1A, value: x}]", "expected a variable's name"),
        ("Deployment: {metadata: {labels: {§a b: x}}}", "not a valid key; expected a label's key"),
        ("Deployment: {metadata: {labels: {a: §x y}}}", "expected at most 63 letters"),
        ("Service: {metadata: {annotations: {§-a: x y}}}", "expected an annotation's key"),
        (POD % "nodeSelector: {a: §/x}", 'is "/x"; expected at most 63 letters'),
        (MODEL % "env: [{name: A, value: x}, {name: §A, value: y}]",
         "appears twice; name identifies the items of env"),
        (POD % "containers: [{name: x, image: y}, {name: §x, image: z}]", "appears twice"),
    ],
    ids=lambda value: value if "{" in value else "",
)  # fmt: skip
def test_a_patch_that_the_api_would_refuse_is_reported(
    patch: str, words: str, tmp_path: Path
) -> None:
    text = f"patch: {{{patch}}}\n"
    checked = _check(tmp_path, text.replace("§", ""))
    (diagnostic,) = checked.errors
    assert (diagnostic.position, diagnostic.code) == (
        f"{A}:4:{text.index('§') + 1}",
        Code.BAD_PATCH,
    )
    assert words in diagnostic.message
    assert first_model(checked).patched == {}


@pytest.mark.parametrize(
    ("settings", "patch", "words"),
    [
        ("volumes: {data: {emptyDir: {}, mountPath: /data}}",
         POD % "volumes: §[{name: data, $patch: delete}]", '"data", which is not a volume'),
        ("ports: {grpc: 9000}", "Service: {spec: {ports: [{port: 9000, name: §http}]}}",
         '"http", which another port has too'),
        ("terminationGracePeriodSeconds: 40", POD % "terminationGracePeriodSeconds: §1",
         "expected at most terminationGracePeriodSeconds, 1"),
    ],
    ids=["volume removed", "name taken", "grace cut"],
)  # fmt: skip
def test_a_patch_that_makes_another_field_wrong_is_reported_at_the_patch(
    settings: str, patch: str, words: str, tmp_path: Path
) -> None:
    text = f"{settings}\npatch: {{{patch}}}\n"
    errors = _check(tmp_path, text.replace("§", "")).errors
    column = text.splitlines()[1].index("§") + 1
    assert (f"{A}:5:{column}", True) in [(e.position, words in e.message) for e in errors], errors


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
def test_a_patch_that_the_api_accepts_is_applied(patch: str, tmp_path: Path) -> None:
    checked = _check(tmp_path, f"patch: {{{patch}}}\n")
    assert checked.errors == ()
    assert first_model(checked).patched


def test_all_errors_of_a_patch_are_reported_in_one_run(tmp_path: Path) -> None:
    lines = (
        "patch:", "  Deployment:", "    kind: X", "    spec:", "      pausd: true",
        "      strategy: {zork: 1}", "      template:", "        spec:", "          hostPID: 1",
        "          containers:", "            - {name: modl}", "            - {image: x}",
        "  Service:", "    spec: {zork: 1}",
    )  # fmt: skip
    checked = _check(tmp_path, "\n".join(lines))
    positions = [(diagnostic.line - 3, diagnostic.column) for diagnostic in checked.errors]
    assert positions == [(3, 11), (5, 7), (6, 17), (9, 20), (11, 22), (12, 15), (14, 12)]


def test_an_unknown_field_is_reported_in_each_layer_that_has_it(tmp_path: Path) -> None:
    shared = "namespace: n\noverrides: {patch: {Deployment: {spec: {pausd: true}}}}\n"
    text = "patch: {Deployment: {spec: {pausd: false}}}\n"
    checked = _check(tmp_path, text, **{PROD: shared})
    assert {diagnostic.position for diagnostic in checked.errors} == {
        f"{A}:4:29",
        f"{PROD}:2:41",
    }


def test_an_unknown_field_of_a_candidate_is_reported_at_its_key(tmp_path: Path) -> None:
    text = (CANARY % ", patch: {Deployment: {spec: {§pausd: true}}}")[1:]
    (diagnostic,) = _check(tmp_path, text.replace("§", "")).errors
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
def test_a_value_that_may_be_secret_is_not_printed(patch: str, tmp_path: Path) -> None:
    groups = group_diagnostics(_check(tmp_path, f"patch: {{{patch}}}\n").errors)
    assert len(groups) == 1
    assert "12345" not in render_diagnostics(groups, read_lines(tmp_path))


def test_every_setting_renders_known_fields(tmp_path: Path) -> None:
    diagnostics = [
        (field, diagnostic)
        for number, (field, text, _, _) in enumerate(FIELDS)
        for manifest in build_covered(tmp_path / str(number), text).manifests
        for diagnostic in find_field_diagnostics(
            manifest.kind, manifest.object, {}, lambda at, value: ""
        )
    ]
    assert diagnostics == []


def test_field_types_are_loaded_only_for_a_patch(tmp_path: Path) -> None:
    field_types._load_additions.cache_clear()
    field_types._load_definition.cache_clear()
    assert _check(tmp_path, "replicas: 2\n").errors == ()
    assert field_types._load_additions.cache_info().currsize == 0
    assert _check(tmp_path, "patch: {Deployment: {spec: {pausd: true}}}\n").errors
    assert field_types._load_additions.cache_info().currsize == 1


def test_a_changed_data_file_invalidates_cached_plans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_PACKAGE", tmp_path)
    before = cache.digest_package.__wrapped__()
    (tmp_path / "fields.json").write_text("{}")
    assert cache.digest_package.__wrapped__() != before
