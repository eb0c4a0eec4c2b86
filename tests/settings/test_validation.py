"""Diagnostics of merged settings: only causes, each at its position."""

from __future__ import annotations

import pytest

from framework.files.document import parse_document
from framework.layers import Layer, LayerStack
from framework.settings.model import Model, model_forms
from framework.settings.validation import validate_settings

_OWN = "catalog/churn.yaml"
_PROFILE = "image: {repository: r.example/r}\nports: {http: 8080}\n"
_VALID = "owner: t\nimage: {tag: v1}\n"


def _diagnostics(own: str, profile: str = _PROFILE) -> list[str]:
    stack = LayerStack()
    for path, text in (("catalog/_profiles/server.yaml", profile), (_OWN, own)):
        document, diagnostics = parse_document(path, text)
        assert not diagnostics
        stack = stack.add(Layer(document, omit=frozenset({"profiles"})))
    merged = stack.resolve({"name": "churn"}, keep_nulls=(("patch",),))
    _, diagnostics = validate_settings(Model, merged, "a model", _OWN)
    return [f"{d.position}: {d.message.split(';')[0]}" for d in sorted(diagnostics)]


def test_valid_settings_have_no_diagnostics() -> None:
    assert _diagnostics(_VALID) == []


@pytest.mark.parametrize(
    ("own", "unknown"),
    [
        pytest.param("owner: t\nimag: {tag: v1}\n", '2:1: "imag"', id="contradiction"),
        pytest.param("owner: t\nIMAGE: {tag: v1}\n", '2:1: "IMAGE"', id="upper case"),
        pytest.param("ownr: t\nimage: {tag: v1}\n", '1:1: "ownr"', id="missing at the top"),
        pytest.param(
            f"{_VALID}env: {{A: {{secret: s, kye: k}}}}\n", '3:22: "kye"', id="in a union"
        ),
        pytest.param(
            f"{_VALID}autoscaling: {{minReplicas: 2, maxReplicass: 3, cpu: 60}}\n",
            '3:31: "maxReplicass"',
            id="missing below",
        ),
        pytest.param(
            f"{_VALID}volumes: {{v: {{mountPath: /v, clam: c}}}}\n", '3:30: "clam"', id="of one of"
        ),
        pytest.param(
            "owner: t\nimag: {tag: v1}\nlabels: {v: '${image.tag}'}\n",
            '2:1: "imag"',
            id="reference to it",
        ),
        pytest.param("owner: t\nprofile: [server]\n", '2:1: "profile"', id="profiles"),
        pytest.param("owner: t\ntag: v1\n", '2:1: "tag"', id="like no setting"),
    ],
)
def test_misspelt_key_is_reported_without_its_consequences(own: str, unknown: str) -> None:
    [diagnostic] = _diagnostics(own)
    assert diagnostic.startswith(f"{_OWN}:{unknown} is not a setting of ")


def test_errors_of_other_settings_are_reported_beside_a_misspelt_key() -> None:
    own = "imag: {tag: v1}\nreplicas: two\nlabels: {v: '${gone}'}\n"
    assert _diagnostics(own) == [
        f'{_OWN}:1:1: "imag" is not a setting of a model',
        f"{_OWN}:1:1: owner is missing",
        f'{_OWN}:2:11: replicas is "two"',
        f'{_OWN}:3:13: labels.v refers to "gone", which has no value here',
    ]


@pytest.mark.parametrize(
    ("own", "position"),
    [
        pytest.param("# note\n\n# more\nimage: {tag: v1}\n", f"{_OWN}:4:1", id="first key"),
        pytest.param("---\n{image: {tag: v1}}\n", f"{_OWN}:2:1", id="in braces"),
        pytest.param("# note\n", _OWN, id="only a comment"),
        pytest.param("", _OWN, id="empty"),
    ],
)
def test_missing_setting_is_reported_at_the_first_key(own: str, position: str) -> None:
    profile = "image: {repository: r.example/r, tag: v1}\nports: {http: 8080}\n"
    assert _diagnostics(own, profile) == [f"{position}: owner is missing"]


@pytest.mark.parametrize(
    ("profile", "position"),
    [
        pytest.param("image: {tag: v1}\n", "catalog/_profiles/server.yaml:1:8", id="elsewhere"),
        pytest.param("image: {pullPolicy: Never}\n", f"{_OWN}:4:3", id="in both files"),
    ],
)
def test_missing_setting_is_reported_at_the_mapping_that_lacks_it(
    profile: str, position: str
) -> None:
    own = "owner: t\n" if "tag" in profile else "owner: t\nimage:\n  # note\n  tag: v1\n"
    expected = f"{position}: image.repository is missing"
    assert _diagnostics(own, profile + "ports: {http: 8080}\n") == [expected]


TEXTS = {
    "args: ['${ports.http}']": ("args", 0, "8080"),
    "command: {items: [a, '${enabled}']}\nenabled: true": ("command", 1, "true"),
    "env: {A: '${ports.http}'}": ("env", "A", "8080"),
    "env: {A: '${enabled}'}\nenabled: false": ("env", "A", "false"),
    "annotations: {a: '${ports.http}'}": ("annotations", "a", "8080"),
    "labels: {a: '${replicas}'}\nreplicas: 3": ("labels", "a", "3"),
}


@pytest.mark.parametrize("own", TEXTS)
def test_number_from_an_interpolation_is_text_where_text_is_wanted(own: str) -> None:
    *path, expected = TEXTS[own]
    stack = LayerStack()
    for name, text in (("p.yaml", _PROFILE), (_OWN, f"{_VALID}{own}\n")):
        stack = stack.add(Layer(parse_document(name, text)[0], forms=model_forms()))
    settings, diagnostics = validate_settings(Model, stack.resolve({}), "a model", _OWN)
    assert diagnostics == []
    assert settings is not None
    value = getattr(settings, str(path[0]))
    assert value[path[1]] == expected
    assert isinstance(value[path[1]], str)


@pytest.mark.parametrize(
    ("entry", "only"),
    [
        ("a.sh: '${HOME:-/root}'", 'config.files["a.sh"] calls the resolver "HOME"'),
        ("a.sh: '${nothing}'", 'config.files["a.sh"] refers to "nothing"'),
        ("a.sh: {text: x, interpolat: false}", 'config.files["a.sh"].interpolat is not a key here'),
    ],
)
def test_the_only_file_with_an_error_is_not_reported_as_missing(entry: str, only: str) -> None:
    own = f"{_VALID}config: {{mountPath: /etc/s, files: {{{entry}}}}}\n"
    stack = LayerStack()
    for path, text in (("catalog/_profiles/server.yaml", _PROFILE), (_OWN, own)):
        stack = stack.add(Layer(parse_document(path, text)[0], forms=model_forms()))
    merged = stack.resolve({"name": "churn"}, keep_nulls=(("patch",),))
    _, diagnostics = validate_settings(Model, merged, "a model", _OWN)
    (message,) = {diagnostic.message for diagnostic in diagnostics}
    assert message.startswith(only)
