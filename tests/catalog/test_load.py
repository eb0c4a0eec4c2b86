"""Layer order, profiles, overlays, candidates and contexts of a catalog on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from framework.catalog import Catalog, CatalogModel, list_models, load_catalog
from framework.core.errors import ConfigError, UnknownNameError
from framework.core.stack import Stack
from framework.files import list_environments
from tests.trees import write_tree

FILES = {
    "catalog/_defaults.yaml": "ports: {http: 8080}\nreplicas: 1\nstartupSeconds: 31\n",
    "catalog/_profiles/small.yaml": "image: {repository: r/small, tag: '1'}\nreplicas: 3\n",
    "catalog/_profiles/gpu.yaml": "resources: {limits: {nvidia.com/gpu: 1}}\nreplicas: 4\n",
    "catalog/m.yaml": "owner: team\nprofiles: [small]\n",
    "environments/prod/environment.yaml": (
        "namespace: ml-prod\ncluster: {context: 'c-${environment.name}'}\ndefaults: {replicas: 2}\n"
    ),
}

Write = Callable[[dict[str, str]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes FILES with changes, and returns the root."""

    def _write(changes: dict[str, str]) -> Path:
        return write_tree(tmp_path, {**FILES, **changes})

    return _write


def _model(root: Path, stack: str = "prod") -> CatalogModel:
    return load_catalog(root, Stack("prod", stack)).models[0]


def _diagnostics(root: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_catalog(root, Stack.of("prod"))
    return [
        f"{diagnostic.position}: {diagnostic.message}" for diagnostic in caught.value.diagnostics
    ]


_ENVIRONMENT = "environments/prod/environment.yaml"
_OVERLAY = "environments/prod/models/m.yaml"
_ORDER = [
    ("catalog/_defaults.yaml", "ports: {http: 80}\nreplicas: 11\n", 11),
    (_ENVIRONMENT, "namespace: n\ndefaults: {replicas: 12}\n", 12),
    ("catalog/_profiles/small.yaml", "image: {repository: r, tag: x}\nreplicas: 13\n", 13),
    ("catalog/_profiles/gpu.yaml", "replicas: 14\n", 14),
    ("catalog/m.yaml", "owner: t\nprofiles: [small, gpu]\nreplicas: 15\n", 15),
    (_ENVIRONMENT, "namespace: n\ndefaults: {replicas: 12}\noverrides: {replicas: 16}\n", 16),
    (_OVERLAY, "replicas: 17\n", 17),
]


@pytest.mark.parametrize("top", range(1, len(_ORDER) + 1), ids=[f"{n}" for _, _, n in _ORDER])
def test_later_layers_win(top: int, write: Write) -> None:
    base = {
        "catalog/_profiles/small.yaml": "image: {repository: r, tag: x}\n",
        "catalog/_profiles/gpu.yaml": "",
        "catalog/m.yaml": "owner: t\nprofiles: [small, gpu]\n",
        _ENVIRONMENT: "namespace: n\n",
    }
    layers = _ORDER[:top]
    model = _model(write({**base, **{path: text for path, text, _ in layers}}))
    assert model.settings.replicas == layers[-1][2]
    assert model.origins["replicas",][-1].path == layers[-1][0]
    assert len(model.origins["replicas",]) == top


def test_profiles_win_in_listed_order(write: Write) -> None:
    changes = {"catalog/m.yaml": "owner: t\nprofiles: [gpu, small]\n"}
    assert _model(write(changes)).settings.replicas == 3


def test_interpolations_can_name_the_environment_and_the_stack(write: Write) -> None:
    labels = "labels: {a: '${environment.cluster.context}', b: '${stack.name}', c: '${name}'}\n"
    root = write({"catalog/m.yaml": FILES["catalog/m.yaml"] + labels})
    assert _model(root).settings.labels == {"a": "c-prod", "b": "prod", "c": "m"}
    assert _model(root, "prod-eu").settings.labels["b"] == "prod-eu"


def test_a_disabled_model_may_lack_required_settings(write: Write) -> None:
    root = write({"catalog/n.yaml": "{}", "environments/prod/models/n.yaml": "enabled: false\n"})
    catalog = load_catalog(root, Stack.of("prod"))
    assert ([model.name for model in catalog.models], tuple(catalog.disabled)) == (["m"], ("n",))
    assert list_models(root) == ("m", "n")
    assert list_environments(root) == ("prod",)


def test_an_unknown_environment_names_the_known_ones(write: Write) -> None:
    with pytest.raises(UnknownNameError, match="did you mean prod"):
        load_catalog(write({}), Stack.of("prd"))


def test_a_candidate_is_merged_over_the_stable_model(write: Write) -> None:
    text = (
        "owner: t\nprofiles: [small]\nlabels: {v: '${image.tag}', extra: x}\ncanary:\n"
        "  candidate:\n    image: {tag: '2'}\n    labels: {extra: null, new: '${labels.v}'}\n"
    )
    model = _model(write({"catalog/m.yaml": text, _OVERLAY: "replicas: 6\n"}))
    assert model.candidate is not None
    assert model.candidate_merged is not None
    assert (model.settings.image.tag, model.candidate.image.tag) == ("1", "2")
    assert model.settings.labels == {"v": "1", "extra": "x"}
    assert model.candidate.labels == {"v": "2", "new": "2"}
    assert model.candidate.replicas == 6
    assert model.candidate.canary.candidate is None
    assert str(model.candidate_merged.origins["image", "tag"][-1]) == "catalog/m.yaml:6:18"


@pytest.mark.parametrize(
    ("overlay", "tag"),
    [
        ("canary: {candidate: {image: {tag: '3'}}}", "3"),
        ("canary: {candidate: {startupSeconds: 9}}", "2"),
        ("canary: {candidate: null}", None),
        ("canary: null", None),
    ],
)
def test_a_candidate_is_merged_from_every_layer(overlay: str, tag: str, write: Write) -> None:
    text = FILES["catalog/m.yaml"] + "canary: {candidate: {image: {tag: '2'}}}\n"
    model = _model(write({"catalog/m.yaml": text, _OVERLAY: overlay}))
    assert (model.candidate.image.tag if model.candidate else None) == tag


def test_models_share_no_values_whatever_the_file_order(write: Write) -> None:
    names = [f"m{index}" for index in range(8)]
    text = "owner: {n}\nprofiles: [small]\nlabels: {{l: '${{name}}'}}\nenv: {{A: '${{owner}}'}}\n"
    root = write({f"catalog/{n}.yaml": text.format(n=n) for n in reversed(names)})
    models = [model for model in load_catalog(root, Stack.of("prod")).models if model.name != "m"]
    assert [model.name for model in models] == names
    assert all(model.settings.labels == {"l": model.name} for model in models)
    assert all(model.settings.env == {"A": model.name} for model in models)


def test_the_same_files_give_the_same_catalog(write: Write) -> None:
    def dump(catalog: Catalog) -> list[str]:
        return [model.settings.model_dump_json() for model in catalog.models]

    root = write({})
    assert dump(load_catalog(root, Stack.of("prod"))) == dump(load_catalog(root, Stack.of("prod")))


_FORMS = (
    "expected text, {secret: ..., key: ...}, {configMap: ..., key: ...}, {field: ...} or "
    "{resource: ...}"
)
_M = FILES["catalog/m.yaml"]
_ERRORS = [
    ("unknown key", {"catalog/m.yaml": _M + "replica: 2\n"},
     ['catalog/m.yaml:3:1: "replica" is not a setting of a model; did you mean "replicas"?']),
    ("unused profile", {"catalog/_profiles/new.yaml": "replicas: ${oc.env:N}\n"},
     ["catalog/_profiles/new.yaml:1:11: replicas calls the resolver \"oc.env\", which is refused: "
      "the same files must give the same result on every machine; allowed: oc.select; write "
      r"\${ for a literal ${"]),
    ("unknown nested key", {_OVERLAY: "rollout:\n  maxSruge: 1\n"},
     [f'{_OVERLAY}:2:3: "maxSruge" is not a setting of rollout; did you mean "maxSurge"?']),
    ("unknown key of defaults", {_ENVIRONMENT: "namespace: n\ndefaults: {replcas: 2}\n"},
     [f'{_ENVIRONMENT}:2:12: "replcas" is not a setting of a model; did you mean "replicas"?']),
    ("percentage", {_OVERLAY: "rollout:\n  maxSurge: 2O%\n"},
     [f'{_OVERLAY}:2:13: rollout.maxSurge is "2O%"; expected a whole number or a percentage such '
      'as "25%"']),
    ("number for text", {"catalog/m.yaml": _M + "image: {tag: 1.10}\n"},
     ['catalog/m.yaml:3:14: image.tag is 1.10; expected text: quote it, "1.10"']),
    ("text for number", {"catalog/m.yaml": _M + "replicas: two\n"},
     ['catalog/m.yaml:3:11: replicas is "two"; expected a whole number']),
    ("enumeration", {"catalog/m.yaml": _M + "image: {pullPolicy: IfNotPresnt}\n"},
     ['catalog/m.yaml:3:21: image.pullPolicy is "IfNotPresnt"; expected "Always", "IfNotPresent" '
      'or "Never"; did you mean "IfNotPresent"?']),
    ("missing at top", {"catalog/m.yaml": "profiles: [small]\n"},
     ["catalog/m.yaml:1:1: owner is missing; a model needs it"]),
    ("missing below", {"catalog/m.yaml": _M + "volumes:\n  v: {claim: c}\n"},
     ["catalog/m.yaml:4:6: volumes.v.mountPath is missing; volumes.v needs it, "
      "or another mount, or injected: true"]),
    ("missing in a tagged union", {"catalog/m.yaml": _M + "env:\n  A: {secret: s}\n"},
     ["catalog/m.yaml:4:6: env.A.key is missing; env.A needs it"]),
    ("unknown in a tagged union", {"catalog/m.yaml": _M + "env:\n  A: {secret: s, kye: k}\n"},
     [f'catalog/m.yaml:4:18: "kye" is not a setting of env.A; {_FORMS}; did you mean "key"?']),
    ("value and source", {"catalog/m.yaml": _M + "env: {A: {value: x, secret: s}}\n"},
     [f'catalog/m.yaml:3:11: "value" is not a setting of env.A; {_FORMS}']),
    ("value alone", {"catalog/m.yaml": _M + "env: {A: {value: x}}\n"},
     [f'catalog/m.yaml:3:11: "value" is not a setting of env.A; {_FORMS}']),
    ("two sources", {"catalog/m.yaml": _M + "env: {A: {secret: s, configMap: c, key: k}}\n"},
     [f'catalog/m.yaml:3:22: env.A has both "secret" and "configMap"; {_FORMS}']),
    ("misspelt source", {"catalog/m.yaml": _M + "env: {A: {configmap: c, key: k}}\n"},
     [f'catalog/m.yaml:3:11: "configmap" is not a setting of env.A; {_FORMS}; did you mean '
      '"configMap"?']),
    ("source of Kubernetes", {"catalog/m.yaml": _M + "env: {A: {fieldRef: status.podIP}}\n"},
     [f'catalog/m.yaml:3:11: "fieldRef" is not a setting of env.A; {_FORMS}; did you mean '
      '"field"?']),
    ("no source", {"catalog/m.yaml": _M + "env: {A: {key: k}}\n"},
     [f"catalog/m.yaml:3:10: env.A has no source; {_FORMS}"]),
    ("empty variable", {"catalog/m.yaml": _M + "env: {A: {}}\n"},
     [f"catalog/m.yaml:3:10: env.A has no source; {_FORMS}"]),
    ("text for a list", {"catalog/m.yaml": _M + "command: python server.py --a 'b c'\n"},
     ['catalog/m.yaml:3:10: command is "python server.py --a \'b c\'"; expected a list: ["python", '
      '"server.py", "--a", "b c"]']),
    ("shell for a list", {"catalog/m.yaml": _M + "command: python a.py $PORT | tee x\n"},
     ['catalog/m.yaml:3:10: command is "python a.py $PORT | tee x"; expected a list: ["sh", "-c", '
      '"python a.py $PORT | tee x"]']),
    ("arguments as text", {"catalog/m.yaml": _M + "args: --port $(PORT)\n"},
     ['catalog/m.yaml:3:7: args is "--port $(PORT)"; expected a list: ["--port", "$(PORT)"]']),
    ("names as text", {"catalog/m.yaml": _M + "image: {pullSecrets: 'a, b'}\n"},
     ['catalog/m.yaml:3:22: image.pullSecrets is "a, b"; expected a list: ["a", "b"]']),
    ("open quote for a list", {"catalog/m.yaml": _M + "args: echo 'a\n"},
     ['catalog/m.yaml:3:7: args is "echo \'a"; expected a list']),
    ("secret for a list", {"catalog/m.yaml": _M + "args: --api-key hunter22\n"},
     ["catalog/m.yaml:3:7: args is [secret]; expected a list"]),
    ("mappings for a list", {"catalog/m.yaml": _M + "scheduling: {tolerations: gpu}\n"},
     ['catalog/m.yaml:3:27: scheduling.tolerations is "gpu"; expected a list']),
    ("text of env", {"catalog/m.yaml": _M + "env: {A: true}\n"},
     ['catalog/m.yaml:3:10: env.A is true; expected text; quote it, as in "true" or "1.10"']),
    ("list index", {"catalog/m.yaml": _M + "args: [a, 2]\n"},
     ['catalog/m.yaml:3:11: args[1] is 2; expected text: quote it, "2"']),
    ("port of a union", {"catalog/m.yaml": _M + "probes: {liveness: {tcpSocket: {port: 70000}}}\n"},
     ["catalog/m.yaml:3:39: probes.liveness.tcpSocket.port is 70000; expected 65535 or less"]),
    ("name of a key", {"catalog/m.yaml": _M + "ports: {HTTP: 80}\n"},
     ['catalog/m.yaml:3:9: "HTTP" is not a valid name for ports; expected a port name: lower-case '
      "letters, digits, '-', at most 15 characters"]),
    ("rule over several", {"catalog/m.yaml": _M + "image: {tag: null}\n"},
     ["catalog/m.yaml:3:8: image has neither tag nor digest; give one"]),
    ("unknown profile", {"catalog/m.yaml": "owner: t\nprofiles: [smal]\n"},
     ['catalog/m.yaml:2:12: no profile is called "smal"; did you mean "small"?']),
    ("profile twice", {"catalog/m.yaml": "owner: t\nprofiles: [small, small]\n"},
     ['catalog/m.yaml:2:19: the profile "small" is listed twice; keep one']),
    ("profiles no list", {"catalog/m.yaml": "owner: t\nprofiles: small\n"},
     ["catalog/m.yaml:2:11: profiles must be a list of names, such as [cpu-small]"]),
    ("profiles elsewhere", {_OVERLAY: "profiles: [gpu]\n"},
     [f'{_OVERLAY}:1:1: "profiles" is read from the model\'s own file only; move it there']),
    ("stray overlay", {"environments/prod/models/n.yaml": ""},
     ['environments/prod/models/n.yaml: no model is called "n"; known: m']),
    ("name set", {"catalog/m.yaml": _M + "name: x\n"},
     ['catalog/m.yaml:3:1: "name" is the file\'s name; remove it, or rename the file']),
    ("environment set", {_OVERLAY: "environment: {name: x}\n"},
     [f'{_OVERLAY}:1:1: "environment" can be used in interpolations, but not set; remove it, '
      'or use env for variables of the container']),
    ("environment file", {_ENVIRONMENT: "namespace: n\nprotekt: true\n"},
     [f'{_ENVIRONMENT}:2:1: "protekt" is not a setting of an environment; did you mean '
      '"protect"?']),
    ("candidate", {"catalog/m.yaml": _M + "canary: {candidate: {image: {tga: x}}}\n"},
     ['catalog/m.yaml:3:30: "tga" is not a setting of image; did you mean "tag"?']),
    ("canary of a candidate", {"catalog/m.yaml": _M + "canary: {candidate: {canary: {size: 1}}}\n"},
     ['catalog/m.yaml:3:22: "canary" cannot be set for a candidate alone']),
    ("reference", {_ENVIRONMENT: "namespace: n\noverrides: {labels: {a: '${imag.tag}'}}\n"},
     [f'{_ENVIRONMENT}:2:25: labels.a refers to "imag.tag", which has no value here; did you mean '
      "\"image.tag\"? the model's own keys, environment.* and stack.* can be named; write "
      r"\${ for a literal ${"]),
    ("shape", {_OVERLAY: "ports: [80]\n"},
     [f"{_OVERLAY}:1:8: ports is a list, but overrides a mapping at catalog/_defaults.yaml:1:8; "
      "expected a mapping such as {http: 8080}"]),
    ("only the syntax", {"catalog/_profiles/small.yaml": "image: {repository: r, tag: on}\n"},
     ["catalog/_profiles/small.yaml:1:29: on would be read as true; write true or false, or quote "
      '"on"']),
    ("a broken file hides what it would give", {"catalog/_profiles/small.yaml": "image: [\n"},
     ["catalog/_profiles/small.yaml:2:1: not valid YAML: did not find expected node content"]),
    ("a broken environment", {_ENVIRONMENT: "namespace: on\n", _OVERLAY:
                              "labels: {a: '${environment.namespace}'}\n"},
     [f'{_ENVIRONMENT}:1:12: on would be read as true; write true or false, or quote "on"']),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"), [case[1:] for case in _ERRORS], ids=[case[0] for case in _ERRORS]
)
def test_an_error_is_reported_once_at_its_position(
    changes: dict[str, str], expected: list[str], write: Write
) -> None:
    assert _diagnostics(write(changes)) == expected


def test_errors_of_all_files_are_reported_in_order(write: Write) -> None:
    changes = {
        "catalog/Bad.yaml": "",
        "catalog/m.yaml": _M + "replica: on\nreplicas: x\n",
        "catalog/n.yaml": "a: [\n",
        _OVERLAY: "image: {tag: 1}\n",
        _ENVIRONMENT: "namespace: N\n",
    }
    positions = [diagnostic.split(": ")[0] for diagnostic in _diagnostics(write(changes))]
    assert positions == [
        "catalog/Bad.yaml", "catalog/m.yaml:3:10", "catalog/m.yaml:4:11",
        "catalog/n.yaml:2:1", f"{_ENVIRONMENT}:1:12", f"{_OVERLAY}:1:14",
    ]  # fmt: skip


@pytest.mark.parametrize("key", ["HUB_TOKEN", "DB_PASSWORD", "apiKey"])
@pytest.mark.parametrize(
    "setting",
    [
        "env: {%s: {secret: s, key: k, optional: hunter42}}",
        "links: {%s: 42.42}",
        "links: {%s: 042}",
        "links: {X: {%s: hunter42}}",
    ],
)
def test_a_value_that_may_be_secret_is_not_quoted(key: str, setting: str, write: Write) -> None:
    diagnostics = _diagnostics(write({"catalog/m.yaml": _M + setting % key + "\n"}))
    assert len(diagnostics) == 1
    assert "42" not in diagnostics[0]


_THROUGH = "env: {HUB_TOKEN: hunter42, WHICH: HUB_TOKEN}\n"


@pytest.mark.parametrize(
    "setting",
    [
        pytest.param("replicas: ${env.HUB_TOKEN}", id="of another type"),
        pytest.param("replicas: 'x ${env.HUB_TOKEN}'", id="inside a text"),
        pytest.param("replicas: ${oc.select:env.HUB_TOKEN}", id="selected"),
        pytest.param("replicas: ${env.${env.WHICH}}", id="by a computed name"),
        pytest.param("links: {x: '${env.HUB_TOKEN}'}\nreplicas: ${links.x}", id="in two steps"),
        pytest.param("replicas: ${.env.HUB_TOKEN}", id="relative"),
        pytest.param("args: ['${env.HUB_TOKEN}']\nports: {a: '${args[0]}'}", id="of a list"),
        pytest.param("ingress: {host: a.b, port: '${env.HUB_TOKEN}'}", id="in a contradiction"),
        pytest.param(
            "canary: {candidate: {links: {y: '${env.HUB_TOKEN}'}, replicas: 1,"
            " startupSeconds: '${links.y}'}}",
            id="in a candidate",
        ),
    ],
)
def test_a_value_interpolated_from_a_secret_is_not_quoted(setting: str, write: Write) -> None:
    diagnostics = _diagnostics(write({"catalog/m.yaml": f"{_M}{_THROUGH}{setting}\n"}))
    assert any("[secret]" in diagnostic for diagnostic in diagnostics)
    assert not any("hunter42" in diagnostic for diagnostic in diagnostics)


def test_a_value_interpolated_from_a_plain_setting_is_quoted(write: Write) -> None:
    text = f"{_M}{_THROUGH}replicas: ${{env.WHICH}}\n"
    [diagnostic] = _diagnostics(write({"catalog/m.yaml": text}))
    assert 'replicas is "HUB_TOKEN" from ${env.WHICH}; expected a whole number' in diagnostic


def test_a_shared_override_names_each_model(write: Write) -> None:
    text = "namespace: n\noverrides: {args: ['--name=${name}', '\\${HOME}']}\n"
    root = write({"catalog/n.yaml": FILES["catalog/m.yaml"], _ENVIRONMENT: text})
    models = load_catalog(root, Stack.of("prod")).models
    assert [model.settings.args for model in models] == [
        ("--name=m", "${HOME}"), ("--name=n", "${HOME}"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "text", "position"),
    [
        pytest.param(
            "catalog/m.yaml",
            FILES["catalog/m.yaml"] + "rollout: {maxUnavailable: banana}\n",
            "catalog/m.yaml:3:27",
            id="under an override",
        ),
        pytest.param(
            "catalog/_defaults.yaml",
            "ports: {http: 8080}\nreplicas: many\n",
            "catalog/_defaults.yaml:2:11",
            id="under a profile",
        ),
        pytest.param(
            "catalog/_profiles/gpu.yaml",
            "startupSecond: 3\n",
            "catalog/_profiles/gpu.yaml:1:1",
            id="of no model",
        ),
    ],
)
def test_a_bad_value_is_reported_even_if_another_layer_overrides_it(
    path: str, text: str, position: str, write: Write
) -> None:
    over = FILES[_ENVIRONMENT] + "overrides: {rollout: {maxUnavailable: 1}}\n"
    diagnostics = _diagnostics(write({_ENVIRONMENT: over, path: text}))
    assert [diagnostic.partition(": ")[0] for diagnostic in diagnostics] == [position]


def test_a_layer_may_be_incomplete(write: Write) -> None:
    text = (
        "ingress: {path: /v1}\nreplicas: '${startupSeconds}'\nargs: ['${name}', b]\n"
        "env: {A: {secret: s}}\nautoscaling: null\nserviceAccount: {name: null}\n"
    )
    model = (
        "owner: t\nprofiles: [small, gpu]\ningress: {host: a.example.com}\n"
        "env: {A: {key: k}}\nreplicas: 3\n"
    )
    root = write({"catalog/_profiles/gpu.yaml": text, "catalog/m.yaml": model})
    assert load_catalog(root, Stack.of("prod")).models[0].settings.replicas == 3


def test_an_error_in_a_shared_file_names_the_affected_models(write: Write) -> None:
    probe = "probes: {readiness: {httpGet: {path: /, port: grpc}}}\n"
    root = write({"catalog/_profiles/small.yaml": FILES["catalog/_profiles/small.yaml"] + probe})
    with pytest.raises(ConfigError) as caught:
        load_catalog(root, Stack.of("prod"))
    assert [(diagnostic.path, diagnostic.model) for diagnostic in caught.value.diagnostics] == [
        ("catalog/_profiles/small.yaml", "m")
    ]
