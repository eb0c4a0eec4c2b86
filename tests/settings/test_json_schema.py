"""The JSON Schemas are current, accept every shipped file, and agree with the loader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import pytest
from jsonschema import Draft7Validator

from framework.catalog import load_catalog
from framework.cli.edit import build_files
from framework.core.errors import ConfigError
from framework.core.stack import Stack
from framework.files.document import load_document, parse_document
from framework.settings.json_schema import PARTIAL_MODELS, build_schemas, build_settings, reads_back
from framework.settings.model import SHARED, Model
from tests.shipped import SHIPPED, list_shipped
from tests.trees import write_tree

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS, WRITTEN = build_schemas(), build_files()
SETTINGS = [path for path in list_shipped("catalog", "environments") if path.endswith(".yaml")]
MODEL, PROFILE = "catalog/m.yaml", "catalog/_profiles/small.yaml"
DEFAULTS, OVERLAY = "catalog/_defaults.yaml", "environments/prod/models/m.yaml"
ENVIRONMENT = "environments/prod/environment.yaml"
FILES = {
    DEFAULTS: "ports: {http: 8080}\n",
    PROFILE: "image: {repository: r/small, tag: '1'}\n",
    MODEL: "owner: team\nprofiles: [small]\n",
    ENVIRONMENT: "namespace: ml-prod\n",
}


def schemas_of(path: str) -> list[str]:
    """Returns the schemas that an editor uses for a file: those whose patterns it matches."""
    settings = json.loads((ROOT / ".vscode/settings.json").read_text())
    return [
        PurePath(schema).name
        for schema, patterns in settings["yaml.schemas"].items()
        if any(PurePath(path).match(pattern) for pattern in patterns)
    ]


def errors(root: Path, path: str) -> list[str]:
    (name,) = schemas_of(path)
    document, diagnostics = load_document(root, path)
    assert diagnostics == []
    return [error.message for error in Draft7Validator(SCHEMAS[name]).iter_errors(document.data)]


def write(root: Path, changes: dict[str, str]) -> Path:
    return write_tree(root, {**FILES, **changes})


@pytest.mark.parametrize("path", WRITTEN)
def test_checked_in_schemas_are_current(path: str) -> None:
    current = (ROOT / path).read_text(encoding="utf-8") == WRITTEN[path]
    assert current, f"{path} is not current; run `make schema` and review the diff"


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_is_valid_and_names_no_host(name: str) -> None:
    Draft7Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$id"] == name


@pytest.mark.parametrize("path", SETTINGS)
def test_shipped_file_is_valid_against_one_schema(path: str) -> None:
    assert len(schemas_of(path)) == 1
    assert errors(SHIPPED, path) == []


def test_schemas_of_the_editor_settings_exist() -> None:
    settings = json.loads((ROOT / ".vscode/settings.json").read_text())
    assert {PurePath(path).name for path in settings["yaml.schemas"]} == SCHEMAS.keys()
    assert all((ROOT / path).is_file() for path in settings["yaml.schemas"])


def test_only_the_schema_of_a_model_has_required_keys() -> None:
    def required(node: Any) -> list[str]:
        if isinstance(node, list):
            return [name for item in node for name in required(item)]
        if not isinstance(node, dict):
            return []
        own = node["required"] if isinstance(node.get("required"), list) else []
        # A list is replaced whole: no other layer completes its items.
        below = (child for key, child in node.items() if key != "items")
        return [*own, *(name for child in below for name in required(child))]

    found = {name: required(schema) for name, schema in SCHEMAS.items()}
    assert found.pop("model.schema.json") == ["owner"]
    assert set(map(tuple, found.values())) == {()}


def test_partial_models_are_mappings_in_the_classes() -> None:
    assert {name for name, _ in PARTIAL_MODELS} == {"Canary", "Environment"}
    candidate = build_settings(Model)["Canary"]["properties"]["candidate"]
    assert {"type": "object", "additionalProperties": True} in candidate["anyOf"]


BAD = [
    ("unknown key", "replica: 2"),
    ("unknown key below", "rollout: {maxSurg: 1}"),
    ("snake case", "startup_seconds: 5"),
    ("text for a number", "replicas: two"),
    ("number below its range", "replicas: -1"),
    ("truth for a number", "replicas: true"),
    ("fraction for a number", "replicas: 1.5"),
    ("percentage with a letter", "rollout: {maxSurge: 2O%}"),
    ("negative surge", "rollout: {maxSurge: -1}"),
    ("unit of no quantity", "resources: {limits: {memory: 1GB}}"),
    ("fraction for a quantity", "resources: {limits: {cpu: 0.5}}"),
    ("negative quantity", "resources: {limits: {cpu: -1}}"),
    ("truth in env", "env: {A: true}"),
    ("fraction in env", "env: {A: 1.5}"),
    ("list in env", "env: {A: [x]}"),
    ("unknown key in env", "env: {A: {secret: s, key: k, name: x}}"),
    ("env as a list", "env: [A]"),
    ("port too high", "ports: {http: 70000}"),
    ("port as a word", "ports: {http: eighty}"),
    ("port name in capitals", "ports: {HTTP: 80}"),
    ("port name of digits", "ports: {'80': 80}"),
    ("unknown protocol", "ports: {grpc: {containerPort: 81, protocol: HTTP}}"),
    ("unknown choice", "image: {pullPolicy: always}"),
    ("short digest", "image: {digest: 'sha256:12'}"),
    ("number for a tag", "image: {tag: 1.6}"),
    ("empty tag", "image: {tag: ''}"),
    ("text for a list", "args: --verbose"),
    ("number in a list of text", "args: [1]"),
    ("null in a list", "args: [a, null]"),
    ("volume name", "volumes: {My_Cache: {mountPath: /d, claim: c}}"),
    ("relative mount", "volumes: {cache: {mountPath: data, claim: c}}"),
    ("number for a label", "labels: {tier: 1}"),
    ("text for a truth", "enabled: 'no'"),
    ("mapping for a list", "scheduling: {tolerations: {key: a}}"),
    ("unknown key in a list", "scheduling: {tolerations: [{keys: a}]}"),
    (
        "left out in a list",
        "autoscaling: {minReplicas: 1, maxReplicas: 2, cpu: 5,"
        " behavior: {scaleUp: {policies: [{type: Pods}]}}}",
    ),
    ("label's key", "labels: {-tier: a}"),
    ("text for a mapping", "rollout: fast"),
    ("name", "name: m"),
    ("environment", "environment: {name: prod}"),
    ("stack", "stack: {name: prod}"),
    ("unknown key of a candidate", "canary: {candidate: {replica: 1}}"),
    ("canary of a candidate", "canary: {candidate: {canary: {size: 1}}}"),
    ("profiles of a candidate", "canary: {candidate: {profiles: [small]}}"),
    *((f"{key} of a candidate", f"canary: {{candidate: {{{key}: null}}}}") for key in SHARED),
    ("interpolated candidate", "labels: {a: b}\ncanary: {candidate: '${labels}'}"),
    ("file mode", "volumes: {c: {mountPath: /c, configMap: c, defaultMode: 512}}"),
    ("unknown key of a list", "args: {apend: [a]}"),
    ("text for a list in a mapping", "args: {append: a}"),
    ("number in a list in a mapping", "args: {append: [1]}"),
    ("number for the text of a file", "config: {mountPath: /c, files: {a: {text: 1}}}"),
    ("no address", "networkPolicy: {allowFrom: {all: {cidr: anywhere}}}"),
]
BAD_FILES = [
    ("owner left out", MODEL, "profiles: [small]"),
    ("owner null", MODEL, "owner: null\nprofiles: [small]"),
    ("owner that is not a label", MODEL, "owner: team nlp\nprofiles: [small]"),
    ("profiles as text", MODEL, "owner: t\nprofiles: small"),
    ("profiles null", MODEL, "owner: t\nprofiles: null"),
    ("profile twice", MODEL, "owner: t\nprofiles: [small, small]"),
    ("profiles of a profile", PROFILE, f"{FILES[PROFILE]}profiles: []"),
    ("unknown key of a profile", PROFILE, f"{FILES[PROFILE]}replica: 1"),
    ("unknown key of the defaults", DEFAULTS, f"{FILES[DEFAULTS]}replica: 1"),
    ("profiles of an overlay", OVERLAY, "profiles: [small]"),
    ("unknown key of an overlay", OVERLAY, "rollout: {surge: 1}"),
    ("namespace", ENVIRONMENT, "namespace: ML_prod"),
    ("unknown key of an environment", ENVIRONMENT, "namespace: n\nreplicas: 1"),
    ("unknown key of a cluster", ENVIRONMENT, "namespace: n\ncluster: {name: c}"),
    ("version", ENVIRONMENT, "namespace: n\ncluster: {kubernetesVersion: '2.0'}"),
    ("fraction of a GPU", ENVIRONMENT, "namespace: n\ncapacity: {nvidia.com/gpu: 0.5}"),
    ("unknown key of defaults", ENVIRONMENT, "namespace: n\ndefaults: {replica: 1}"),
    ("profiles of overrides", ENVIRONMENT, "namespace: n\noverrides: {profiles: [small]}"),
    ("environment's name", ENVIRONMENT, "namespace: n\nname: prod"),
    ("interpolated defaults", ENVIRONMENT, "namespace: n\ndefaults: '${environment}'"),
]
BAD_CASES = [
    *(pytest.param(MODEL, f"{FILES[MODEL]}{text}\n", id=name) for name, text in BAD),
    *(pytest.param(path, f"{text}\n", id=name) for name, path, text in BAD_FILES),
]


@pytest.mark.parametrize(("path", "text"), BAD_CASES)
def test_schema_and_loader_refuse_the_same_files(tmp_path: Path, path: str, text: str) -> None:
    root = write(tmp_path, {path: text})
    assert errors(root, path)
    with pytest.raises(ConfigError):
        load_catalog(root, Stack.of("prod"))


GOOD = {
    "whole quantity": "resources: {limits: {cpu: 2, memory: 4Gi}}",
    "count for a percentage": "rollout: {maxSurge: 1}",
    "number in env": "env: {WORKERS: 2}",
    "every kind of env": (
        "env: {A: {secret: s, key: k}, B: {configMap: c, key: k}, C: {field: status.podIP},"
        " D: {resource: limits.cpu}}"
    ),
    "port in full": "ports: {grpc: {containerPort: 81, protocol: UDP}}",
    "null for a mapping": "probes: null\nresources: {limits: null}",
    "null for a choice": "image: {pullPolicy: null}",
    "null for an entry": "env: {A: null}\nports: {grpc: null}",
    "interpolated text": "description: 'by ${owner}'",
    "interpolated number": "replicas: ${startupSeconds}",
    "interpolated port": "ports: {grpc: '${startupSeconds}'}",
    "interpolated choice": "labels: {kind: NodePort}\nservice: {type: '${labels.kind}'}",
    "interpolated truth": "enabled: ${service.enabled}\nservice: {enabled: true}",
    "interpolated mapping": "labels: {a: b}\nannotations: ${labels}",
    "interpolated list": "command: [a]\nargs: ${command}",
    "appended list": "args: {append: [a]}",
    "list without interpolation": "args: {items: ['${x}'], interpolate: false}",
    "file without interpolation": (
        "config: {mountPath: /c, files: {a: {text: '${x}', interpolate: false}}}"
    ),
    "interpolated quantity": "labels: {m: 1Gi}\nresources: {limits: {memory: '${labels.m}'}}",
    "partial candidate": "canary: {candidate: {image: {tag: '2'}, ports: {http: null, b: 81}}}",
    "file mode": "volumes: {c: {mountPath: /c, configMap: c, defaultMode: '0440'}}",
    "address": "networkPolicy: {allowTo: {a: {cidr: 10.0.0.0/8}, b: {cidr: '::/0'}}}",
    "what Kubernetes takes": "scheduling: {tolerations: [{operator: Exists}], affinity: {a: [1]}}",
}


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in GOOD.items()])
def test_schema_and_loader_accept_the_same_files(tmp_path: Path, text: str) -> None:
    startup = "" if "startupSeconds:" in text else "startupSeconds: 60\n"
    root = write(tmp_path, {MODEL: f"{FILES[MODEL]}{startup}{text}\n"})
    assert errors(root, MODEL) == []
    assert load_catalog(root, Stack.of("prod")).models[0].name == "m"


@pytest.mark.parametrize("path", [PROFILE, DEFAULTS, OVERLAY, ENVIRONMENT])
def test_layer_may_have_a_part_of_any_mapping(tmp_path: Path, path: str) -> None:
    part = "ingress: {host: null}\nvolumes: {c: {readOnly: true}}\nimage: null\n"
    text = f"defaults: {{{part.strip().replace(chr(10), ', ')}}}\n" if path == ENVIRONMENT else part
    root = write(tmp_path, {path: text})
    assert errors(root, path) == []
    assert errors(write(tmp_path, {path: ""}), path) == []


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    below = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in below:
        yield from nodes(child)


EDITOR_MESSAGES = {
    "text for a number": ("replicas: two", "expected a whole number"),
    "truth for a number": ("replicas: true", "expected a whole number"),
    "text for a truth": ("enabled: yes please", "expected true or false"),
    "number for text": ("image: {tag: 1.6}", 'expected text; quote it, as in "1.10" or "true"'),
    "text for a mapping": ("image: r:1", "expected a mapping"),
    "text for a list": ("args: --verbose", "expected a list"),
    "form": ("image: {digest: 'sha256:1'}", 'expected "sha256:" and 64 hex digits in lower case'),
    "count or percentage": (
        "rollout: {maxSurge: 2O%}",
        'expected a whole number or a percentage such as "25%"',
    ),
    "name": (
        "ports: {HTTP: 80}",
        "expected a port name: lower-case letters, digits, '-', at most 15 characters",
    ),
}


@pytest.mark.parametrize(
    ("text", "message"), [pytest.param(*case, id=name) for name, case in EDITOR_MESSAGES.items()]
)
def test_editor_message_names_the_expected_value_instead_of_a_pattern(
    text: str, message: str
) -> None:
    document, _ = parse_document(OVERLAY, f"{text}\n")
    (error,) = Draft7Validator(SCHEMAS["overlay.schema.json"]).iter_errors(document.data)
    by_pattern = error.schema.get("patternErrorMessage") if error.validator == "pattern" else None
    assert (by_pattern or error.schema["errorMessage"]) == message


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_pattern_has_a_message(name: str) -> None:
    for node in nodes(SCHEMAS[name]):
        # The second of two arms allows interpolations; editors show the message of the first.
        if isinstance(node.get("pattern"), str) and node["pattern"] != r"\$\{":
            assert {"patternErrorMessage", "errorMessage"} & node.keys(), node


@pytest.mark.parametrize("name", SCHEMAS)
def test_completed_examples_read_back(name: str) -> None:
    for node in nodes(SCHEMAS[name]):
        for example in node["examples"] if isinstance(node.get("examples"), list) else ():
            assert reads_back(example), example
        # Neither a type nor an example: an editor would complete the key without its colon.
        if "allOf" in node and "description" in node:
            assert "examples" in node, node


@pytest.mark.parametrize(
    ("example", "same"),
    [
        (25, True),
        ("25%", True),
        ({"memory": "1Gi"}, True),
        (["cat", "/tmp/ready"], True),
        ("0440", False),
        ({"until": "2026-12-31"}, False),
        ({"scrape": "true"}, False),
        (["--model", "${name}"], False),
        ({"policies": [{"type": "Pods"}]}, False),
    ],
)
def test_example_reads_back_if_it_needs_no_quotes(example: Any, same: bool) -> None:
    assert reads_back(example) == same
