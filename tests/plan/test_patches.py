"""The `patch` of a model: laid over what is rendered, visible in the plan, refused at its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from framework.codes import Code
from framework.plan.stack import CheckedCatalog
from tests.plan.small_catalog import PROD, check, write_files

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
    assert checked.faults == ()
    (model,) = _pods(checked)["a"]["containers"]
    assert [item["name"] for item in model["env"]] == ["B", "A"]
    assert model["stdin"] is True
    assert "lifecycle" not in model
    at = "spec.template.spec.containers[model]."
    fields = tuple(f"{at}{name}" for name in ("env[A].value", "lifecycle", "stdin"))
    assert checked.models[0].patched == {"Deployment/a": fields}


def test_an_environment_may_patch_more_or_take_a_patch_away(tmp_path: Path) -> None:
    text = "patch: {Deployment: {spec: {revisionHistoryLimit: 3}}, Service: {spec: {x: 1}}}\n"
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
    assert (checked.faults, checked.models[0].patched) == ((), {})


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ("§Deploymnt: {}", "did you mean Deployment?"),
        ("§Secret: {}", "is no kind of object that a model is made of"),
        ("§Ingress: {}", "this model has no Ingress; set ingress"),
        ("§Service/canary: {}", "expected Service"),
        ("Deployment: {apiVersion: §v2}", "it tells which object this is"),
        ("Deployment: {metadata: {name: §x}}", "it tells which object this is"),
        ("Deployment: {metadata: {namespace: §x}}", "it tells which object this is"),
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
    (fault,) = checked.faults
    place = f"{A}:4:{text.index('§') + 1}"
    assert (fault.place, fault.code, fault.model) == (place, Code.BAD_PATCH, "a")
    assert words in fault.message
    assert checked.models[0].patched == {}


def test_replicas_belong_to_the_autoscaler_where_there_is_one(tmp_path: Path) -> None:
    checked = _check(tmp_path, HPA + "patch: {Deployment: {spec: {replicas: 3}}}\n")
    assert [fault.message for fault in checked.faults] == [
        "patch.Deployment.spec.replicas cannot be patched: it is the autoscaler's; set "
        "autoscaling.minReplicas"
    ]


def test_a_candidate_patches_its_own_track_alone(tmp_path: Path) -> None:
    text = CANARY % ", patch: {Service: {spec: {x: 1}}}"
    checked = _check(tmp_path, text[1:])
    assert [(f.place, f.code) for f in checked.faults] == [(f"{A}:4:48", Code.BAD_PATCH)]
    assert "of both tracks" in checked.faults[0].message


def test_a_bad_patch_of_a_shared_layer_is_told_where_it_is_written(tmp_path: Path) -> None:
    shared = "namespace: n\noverrides: {patch: {Deployment: {kind: X}}}\n"
    checked = check(write_files(tmp_path, {PROD: shared}))
    assert {fault.place for fault in checked.faults} == {f"{PROD}:2:40"}
