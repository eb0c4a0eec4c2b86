"""Settings that may be written in several forms, over two or three layers: each pair of forms."""

from __future__ import annotations

from typing import Any

import pytest

from framework.core.diagnostics import Code
from framework.files.document import parse_document
from framework.layers import Layer, LayerStack, Merged
from framework.settings.model import model_forms

TEXT, SECRET, OTHER = "{A: dummy}", "{A: {secret: hub, key: token}}", "{A: {configMap: c, key: k}}"
FIELD, READ = "{A: {field: status.podIP}}", '{A: "${other}"}'


def merge(*texts: str) -> Merged:
    stack = LayerStack()
    for index, text in enumerate(texts):
        document, diagnostics = parse_document(f"{index}.yaml", text)
        assert diagnostics == []
        stack = stack.add(Layer(document, forms=model_forms()))
    return stack.resolve({"other": "read", "eighty": 80})


def values(*texts: str) -> dict[str, Any]:
    merged = merge(*texts)
    assert merged.diagnostics == ()
    return merged.data


@pytest.mark.parametrize("lower", [TEXT, SECRET, OTHER, FIELD, READ])
@pytest.mark.parametrize("upper", [TEXT, SECRET, OTHER, FIELD, READ])
def test_the_later_source_of_a_variable_replaces_the_earlier(lower: str, upper: str) -> None:
    merged = merge(f"env: {lower}", f"env: {upper}")
    assert merged.diagnostics == ()
    assert merged.data == values(f"env: {upper}")
    assert merged.origin(("env", "A")) is not None
    assert [position.path for position in merged.origins["env", "A"]] == ["0.yaml", "1.yaml"]
    assert values(f"sidecars: {{s: {{env: {lower}}}}}", f"sidecars: {{s: {{env: {upper}}}}}") == {
        "sidecars": {"s": values(f"env: {upper}")}
    }


MERGED = {
    "same source keeps the rest": (
        ["env: {A: {secret: hub, key: token}}", "env: {A: {key: other}}"],
        {"env": {"A": {"secret": "hub", "key": "other"}}},
    ),
    "tag over a digest": (
        ["image: {tag: v1, digest: d}", "image: {tag: v2}"],
        {"image": {"tag": "v2"}},
    ),
    "digest over a tag": (
        ["image: {tag: v1}", "image: {digest: d}"],
        {"image": {"tag": "v1", "digest": "d"}},
    ),
    "three sources": ([f"env: {SECRET}", f"env: {OTHER}", f"env: {TEXT}"], {"env": {"A": "dummy"}}),
    "removed, then given again": (
        [f"env: {SECRET}", "env: {A: null}", f"env: {OTHER}"],
        {"env": {"A": {"configMap": "c", "key": "k"}}},
    ),
    "mapping over a port number": (
        ["ports: {http: 8080}", "ports: {http: {servicePort: 80}}"],
        {"ports": {"http": {"containerPort": 8080, "servicePort": 80}}},
    ),
    "port number over a mapping": (
        ["ports: {http: {containerPort: 1, servicePort: 80}}", "ports: {http: 8080}"],
        {"ports": {"http": {"containerPort": 8080, "servicePort": 80}}},
    ),
    "number, mapping, number": (
        ["ports: {http: 1}", "ports: {http: {servicePort: 80}}", "ports: {http: 2}"],
        {"ports": {"http": {"containerPort": 2, "servicePort": 80}}},
    ),
    "mapping over an interpolation": (
        ["ports: {http: '${eighty}'}", "ports: {http: {servicePort: 1}}"],
        {"ports": {"http": {"containerPort": 80, "servicePort": 1}}},
    ),
    "relative interpolation below a mapping": (
        ["ports: {http: {servicePort: 1}, grpc: 9}", "ports: {http: '${.grpc}'}"],
        {"ports": {"http": {"servicePort": 1, "containerPort": 9}, "grpc": 9}},
    ),
    "mapping over a relative interpolation": (
        ["ports: {http: '${.grpc}', grpc: 9}", "ports: {http: {servicePort: 1}}"],
        {"ports": {"http": {"servicePort": 1, "containerPort": 9}, "grpc": 9}},
    ),
    "path over a mount": (
        ["sidecars: {s: {mounts: {v: {path: /a, readOnly: true}}}}",
         "sidecars: {s: {mounts: {v: /b}}}"],
        {"sidecars": {"s": {"mounts": {"v": {"path": "/b", "readOnly": True}}}}},
    ),
    "named claim over a new one": (
        ["volumes: {v: {claim: {size: 1Gi, storageClass: fast}}}", "volumes: {v: {claim: shared}}"],
        {"volumes": {"v": {"claim": {"name": "shared"}}}},
    ),
    "new claim over a named one": (
        ["volumes: {v: {claim: shared}}", "volumes: {v: {claim: {size: 1Gi}}}"],
        {"volumes": {"v": {"claim": {"size": "1Gi"}}}},
    ),
    "another source of a volume": (
        ["volumes: {v: {mountPath: /m, secret: s, items: {a: b}}}",
         "volumes: {v: {emptyDir: {medium: Memory}}}"],
        {"volumes": {"v": {"mountPath": "/m", "emptyDir": {"medium": "Memory"}}}},
    ),
    "another kind of probe": (
        ["probes: {readiness: {httpGet: {path: /a}, periodSeconds: 3}}",
         "probes: {readiness: {tcpSocket: {port: http}}}"],
        {"probes": {"readiness": {"tcpSocket": {"port": "http"}, "periodSeconds": 3}}},
    ),
    "the other bound of a budget": (
        ["disruptionBudget: {maxUnavailable: 1}", "disruptionBudget: {minAvailable: 50%}"],
        {"disruptionBudget": {"minAvailable": "50%"}},
    ),
    "appended arguments": (
        ["args: [a, '${other}']", "args: {append: ['${other}', d]}"],
        {"args": ["a", "read", "read", "d"]},
    ),
    "appended twice": (
        ["args: [a]", "args: {append: [b]}", "args: {append: [c]}"],
        {"args": ["a", "b", "c"]},
    ),
    "appended to nothing": (["args: {append: [b]}"], {"args": ["b"]}),
    "appended to what was removed": (
        ["args: [a]", "args: null", "args: {append: [b]}"], {"args": ["b"]}
    ),
    "a list replaces what was appended": (
        ["args: [a]", "args: {append: [b]}", "args: [c]"], {"args": ["c"]}
    ),
    "appended mappings": (
        ["scheduling: {tolerations: [{key: a}]}",
         "scheduling: {tolerations: {append: [{key: '${other}'}]}}"],
        {"scheduling": {"tolerations": [{"key": "a"}, {"key": "read"}]}},
    ),
    "items without interpolation": (
        [r"command: {items: [sh, -c, 'echo ${HOME} \${X} $(Y)'], interpolate: false}"],
        {"command": ["sh", "-c", r"echo ${HOME} \${X} $(Y)"]},
    ),
    "only the layer with the form is left as written": (
        ["args: {items: ['${HOME}'], interpolate: false}", "args: {append: ['${other}']}"],
        {"args": ["${HOME}", "read"]},
    ),
    "a file without interpolation": (
        ["config: {files: {run.sh: {text: 'for n in a; do echo ${n}; done', interpolate: false}}}"],
        {"config": {"files": {"run.sh": "for n in a; do echo ${n}; done"}}},
    ),
    "a text over a file, and a file over a text": (
        ["config: {files: {a: '1', b: {text: '2'}}}", "config: {files: {a: {text: '3'}, b: '4'}}"],
        {"config": {"files": {"a": "3", "b": "4"}}},
    ),
    "for a candidate": (
        ["canary: {candidate: {args: {append: ['\\${x}'], interpolate: false}}}"],
        {"canary": {"candidate": {"args": ["\\${x}"]}}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MERGED)
def test_forms_are_merged(case: str) -> None:
    texts, expected = MERGED[case]
    assert values(*texts) == expected


def test_origins_are_where_the_values_are_written() -> None:
    merged = merge("args: [a]", "args: {append: [b, c]}", "ports: {http: 80}")
    merged_port = merge("ports: {http: 80}", "ports: {http: {servicePort: 1}}")
    assert str(merged.origin(("args", 0))) == "0.yaml:1:8"
    assert str(merged.origin(("args", 2))) == "1.yaml:1:20"
    assert str(merged_port.origin(("ports", "http", "containerPort"))) == "0.yaml:1:15"
    assert str(merged_port.origin(("ports", "http", "servicePort"))) == "1.yaml:1:29"


@pytest.mark.parametrize("upper", ["ports: {http: 81}", "ports: {http: {servicePort: 1}}"])
def test_reference_to_a_port_is_its_number_in_either_form(upper: str) -> None:
    lower = "ports: {http: 80}\nargs: ['--port=${ports.http}']\nlinks: {x: '${ports.http}'}"
    data = merge(lower, upper).data
    number = 81 if upper.endswith("81}") else 80
    assert data["args"] == [f"--port={number}"]
    assert data["links"] == {"x": number}


WRONG = {
    "unknown key": ("args: {apend: [a]}", "1.yaml:1:8", Code.UNKNOWN_KEY, "append"),
    "both": ("args: {items: [a], append: [b]}", "1.yaml:1:7", Code.INCONSISTENT, "both"),
    "neither": ("args: {interpolate: false}", "1.yaml:1:7", Code.MISSING_KEY, "items"),
    "no list": ("args: {append: a}", "1.yaml:1:16", Code.BAD_VALUE, "a list"),
    "no truth": ("args: {append: [a], interpolate: 3}", "1.yaml:1:34", Code.BAD_VALUE, "true"),
    "no text": ("config: {files: {f: {text: 3}}}", "1.yaml:1:28", Code.BAD_VALUE, "text"),
    "to an interpolation": ("command: {append: [a]}", "1.yaml:1:19", Code.SHAPE_CONFLICT, "a list"),
}


@pytest.mark.parametrize("case", WRONG)
def test_form_that_cannot_be_read_is_an_error_at_its_place(case: str) -> None:
    text, position, code, words = WRONG[case]
    (diagnostic,) = merge("args: [x]\ncommand: ${other}", text).diagnostics
    assert (diagnostic.position, diagnostic.code) == (position, code)
    assert words in diagnostic.message
