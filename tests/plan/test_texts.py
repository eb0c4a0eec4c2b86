"""Variables that refer to others, and texts with names that may mean something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.plan.small_catalog import PROD, check, first_model, write_files

MODEL = "catalog/a.yaml"


def containers(root: Path, text: str, overrides: str = "") -> dict[str, Any]:
    """Returns the containers of model a by name."""
    changes = {MODEL: f"+{text}", PROD: f"+overrides: {{{overrides}}}\n"}
    loaded = check(write_files(root, changes))
    assert loaded.errors == ()
    deployment = first_model(loaded).find("Deployment")
    assert deployment is not None
    pod = deployment.object["spec"]["template"]["spec"]
    return {c["name"]: c for c in (*pod["containers"], *pod.get("initContainers", ()))}


def names(container: Any) -> str:
    return "".join(item["name"] for item in container["env"])


def test_variables_are_ordered_in_every_container(tmp_path: Path) -> None:
    env = "env: {A: $(B), B: x}"
    found = containers(
        tmp_path,
        f"{env}\nsidecars: {{s: {{image: 'r:1', {env}}}}}\n"
        f"initContainers: {{i: {{image: 'r:1', {env}}}}}\n",
    )
    assert [names(container) for container in found.values()] == ["BA"] * 3


def test_variable_of_a_later_layer_comes_before_its_user(tmp_path: Path) -> None:
    model = containers(tmp_path, "env: {URL: 'http://$(HOST)', X: y}\n", "env: {HOST: h}")["model"]
    assert [item["name"] for item in model["env"]] == ["HOST", "URL", "X"]


def test_variable_of_a_patch_comes_before_its_user(tmp_path: Path) -> None:
    patch = "{name: model, env: [{name: HOST, value: h}]}"
    text = (
        "env: {URL: 'http://$(HOST)'}\n"
        f"patch: {{Deployment: {{spec: {{template: {{spec: {{containers: [{patch}]}}}}}}}}}}\n"
    )
    assert [i["name"] for i in containers(tmp_path, text)["model"]["env"]] == ["HOST", "URL"]


def test_number_in_a_patch_is_text_where_the_field_takes_text(tmp_path: Path) -> None:
    env = "[{name: PORT, value: '${ports.http}'}]"
    ports = "[{name: http, containerPort: '${ports.http}', protocol: TCP}]"
    text = (
        "patch: {Deployment: {metadata: {annotations: {a: '${ports.http}', b: '${enabled}'}}, spec:"
        f" {{template: {{spec: {{containers: [{{name: model, env: {env}, ports: {ports}}}]}}}}}}}}"
        "}"
        "\nenabled: true\n"
    )
    loaded = check(write_files(tmp_path, {MODEL: f"+{text}"}))
    assert loaded.errors == ()
    deployment = first_model(loaded).find("Deployment")
    assert deployment is not None
    annotations = deployment.object["metadata"]["annotations"]
    assert (annotations["a"], annotations["b"]) == ("8080", "true")
    container = deployment.object["spec"]["template"]["spec"]["containers"][0]
    assert container["env"] == [{"name": "PORT", "value": "8080"}]
    assert container["ports"][0]["containerPort"] == 8080


@pytest.mark.parametrize(
    ("text", "position", "shown"),
    [
        ("env: {A: $(B), B: $(A)}", "4:10", "env.A refers to itself: A -> B -> A"),
        (
            "sidecars: {s: {image: 'r:1', env: {A: $(B), B: $(A)}}}",
            "4:39",
            "sidecars.s.env.A refers to itself",
        ),
    ],
)
def test_cycle_of_variables_is_an_error(
    tmp_path: Path, text: str, position: str, shown: str
) -> None:
    (error,) = check(write_files(tmp_path, {MODEL: f"+{text}\n"})).errors
    assert error.position == f"{MODEL}:{position}"
    assert shown in error.message


WARNED = {
    "env": ("env: {A: 'x$(B)'}", "4:10", "$$(B)"),
    "itself": ("env: {A: 'x$(A)'}", "4:10", "$(A)"),
    "argument": ("args: [a, --host=$(HOST)]", "4:11", "args[1] refers to $(HOST)"),
    "sidecar": ("sidecars: {s: {image: 'r:1', args: [$(B)]}}", "4:37", "sidecars.s.args[0]"),
    "prefix that does not fit": (
        "args: [$(B)]\nenvFrom: {s: {secret: s, prefix: X_}}", "4:8", "$(B)"
    ),
    "shell loop": (
        'args: ["for name in a b; do echo ${name}; done"]', "4:8", r"\${name}"
    ),
    "shell assignment in a file": (
        "config:\n  mountPath: /c\n  files:\n    f: |\n      replicas=3\n      echo ${replicas}\n",
        "9:12",
        "interpolate: false",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WARNED)
def test_name_that_may_mean_something_else_is_a_warning(tmp_path: Path, case: str) -> None:
    text, position, shown = WARNED[case]
    loaded = check(write_files(tmp_path, {MODEL: f"+{text}\n"}))
    assert loaded.errors == ()
    (warning,) = loaded.warnings
    assert warning.position == f"{MODEL}:{position}"
    assert shown in warning.message


@pytest.mark.parametrize(
    "text",
    [
        "args: [$(A)]\nenv: {A: x}",
        "args: [$(A)]\nenvFrom: {s: {secret: s}}",
        "env: {A: 'x$(A)'}\nenvFrom: {s: {secret: s}}",
        "args: [$(X_A)]\nenvFrom: {s: {secret: s, prefix: X_}}",
        "args: [$$(A)]",
        "command: [sh, -c, 'echo $(hostname)']",
        "args: [$(KUBERNETES_SERVICE_HOST), $(REDIS_SERVICE_PORT)]",
        r'args: ["for name in a b; do echo \\${name}; done"]',
        "args: {items: ['for name in a b; do echo ${name}; done'], interpolate: false}",
        "args: ['--name=${name}', '--model_name=${name}']",
    ],
)
def test_clear_text_has_no_warning(tmp_path: Path, text: str) -> None:
    loaded = check(write_files(tmp_path, {MODEL: f"+{text}\n"}))
    assert (loaded.errors, loaded.warnings) == ((), ())
