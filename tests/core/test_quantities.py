"""Quantities: their value, the fields that hold them, and spellings that are no change."""

from __future__ import annotations

from fractions import Fraction
from importlib import import_module
from typing import Any

import pytest

from framework.core.field_paths import FieldPath
from framework.core.quantities import (
    is_quantity_path,
    is_same_quantity,
    normalize_quantities,
    parse_quantity,
)
from framework.kube.object_diff import compare_objects
from framework.plan.patch.field_types import _load_additions


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", Fraction(1, 2)), ("0.5", Fraction(1, 2)), (".5", Fraction(1, 2)),
        ("1Gi", 1024**3), ("1024Mi", 1024**3), ("1e3", 1000), ("1E3", 1000), ("1k", 1000),
        ("1E", 10**18), ("1Ei", 1024**6), ("5u", Fraction(5, 10**6)), ("-1", -1), ("+2.", 2),
        ("0", 0), ("5n", Fraction(5, 10**9)), ("12e-1", Fraction(6, 5)),
        ("", None), ("x", None), ("1 Gi", None), ("1gb", None), ("1mi", None), ("0x1", None),
    ],
)  # fmt: skip
def test_value_of_a_quantity(text: str, value: Fraction | None) -> None:
    assert parse_quantity(text) == value


_CPU = "spec.template.spec.containers[model].resources.requests.cpu"
_MEMORY = "spec.template.spec.containers[model].resources.limits.memory"
_EQUAL = [
    (_CPU, "500m", "0.5"), (_CPU, "1", "1000m"), (_CPU, 1, "1"), (_CPU, 0.5, "500m"),
    (_MEMORY, "1Gi", "1024Mi"), (_MEMORY, "1Gi", "1073741824"), (_MEMORY, "1e9", "1G"),
    ("spec.resources.requests.storage", "1Ti", "1024Gi"),
    ("spec.template.spec.volumes[cache].emptyDir.sizeLimit", "1Gi", "1024Mi"),
    ("spec.metrics[0].pods.target.averageValue", "1", "1000m"),
    ("spec.metrics[0].external.target.value", "2k", 2000),
    ('spec.template.spec.containers[model].resources.limits["nvidia.com/gpu"]', "1", 1),
    ("resources.requests.cpu", "500m", "0.5"), ("volumes.cache.claim.size", "1Gi", "1024Mi"),
    ("capacity.cpu", "64", "64000m"), ("env.CPUS.divisor", "1", "1000m"),
]  # fmt: skip
_DIFFERENT = [
    (_CPU, "500m", "0.6"), (_MEMORY, "1Gi", "1G"), (_CPU, "1", None), (_CPU, True, 1),
    ("env.CPU", "500m", "0.5"), ("annotations.sizeLimit", "1Gi", "1024Mi"), ("args[0]", "1", "1.0"),
    ("spec.template.spec.containers[model].env[CPU]", "1", "1.0"), ("labels.limits", "1k", "1000"),
    ("config.files.divisor", "1", "1.0"), ("image.tag", "1", "1.0"),
    ("data.sizeLimit", "1", "1.0"), ("spec.nodeSelector.quantity", "1k", "1000"),
    (_CPU, "half", "half a core"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "old", "new", "same"),
    [*((*case, True) for case in _EQUAL), *((*case, False) for case in _DIFFERENT)],
)
def test_equal_quantities_are_the_same_in_fields_of_quantities(
    path: str, old: object, new: object, same: bool
) -> None:
    assert is_same_quantity(FieldPath.parse(path).steps, old, new) is same
    assert is_same_quantity(FieldPath.parse(path).steps, new, old) is same


def test_only_other_values_are_changes_of_an_object() -> None:
    old = {"spec": {"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}}
    new = {"spec": {"resources": {"limits": {"cpu": "1000m", "memory": "2Gi"}}}}
    [change] = compare_objects(old, new)
    assert (change.path, change.old, change.new) == ("spec.resources.limits.memory", "1Gi", "2Gi")


_MODULES = ("core_v1", "apps_v1", "autoscaling_v2", "networking_v1", "policy_v1")


def test_every_quantity_of_the_api_is_recognized() -> None:
    fields = {
        f"{name}.{field}"
        for module in _MODULES
        for name, definition in vars(import_module(f"lightkube.models.{module}")).items()
        for field in getattr(definition, "__struct_fields__", ())
        if "Quantity" in str(definition.__annotations__.get(field))
    }
    owner = {"MetricTarget": "target", "MetricValueStatus": "current"}
    assert len(fields) > 5
    for field in fields:
        definition, _, name = field.partition(".")
        assert is_quantity_path((owner.get(definition, "parent"), name)), field
    for mapping in _load_additions()["quantityMaps"]:
        assert is_quantity_path((mapping.partition(".")[2], "cpu")), mapping


_SPEC_CHANGES = [
    ({"default": {"version": "1.10"}}, {"default": {"version": "1.1"}}),
    ({"min": {"release": "2.0"}}, {"min": {"release": "2"}}),
    ({"target": {"value": "1e3"}}, {"target": {"value": "1000"}}),
    ({"limits": {"tier": "1k"}}, {"limits": {"tier": "1000"}}),
    ({"quantity": {"quantity": "1.0"}}, {"quantity": {"quantity": "1"}}),
    ({"hard": {"build": 1.0}}, {"hard": {"build": "1"}}),
]


@pytest.mark.parametrize(
    ("version", "same"),
    [
        ("example.com/v1", False),
        ("gateway.networking.k8s.io/v1", False),
        ("v1", True),
        ("apps/v1", True),
        ("node.k8s.io/v1", True),
    ],
)
@pytest.mark.parametrize(("old", "new"), _SPEC_CHANGES)
def test_text_of_a_custom_resource_is_not_a_quantity(
    version: str, same: bool, old: dict[str, Any], new: dict[str, Any]
) -> None:
    head = {"apiVersion": version, "kind": "Widget", "metadata": {"name": "w"}}
    before, after = ({**head, "spec": spec} for spec in (old, new))
    assert (not compare_objects(before, after)) is same
    assert (normalize_quantities(before) == normalize_quantities(after)) is same


def test_resources_of_a_custom_resource_are_quantities() -> None:
    head = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}}
    old, new = (
        {**head, "spec": {"template": {"resources": {"limits": {"cpu": cpu}}}}}
        for cpu in ("0.5", "500m")
    )
    assert compare_objects(old, new) == ()
    assert normalize_quantities(old) == normalize_quantities(new)


@pytest.mark.parametrize(
    ("spec", "canonical", "same"),
    [
        ({"volumes": [{"name": "c", "emptyDir": {"sizeLimit": "1000M"}}]},
         {"volumes": [{"name": "c", "emptyDir": {"sizeLimit": "1G"}}]}, True),
        ({"env": [{"name": "M", "valueFrom": {"resourceFieldRef": {"divisor": "1000m"}}}]},
         {"env": [{"name": "M", "valueFrom": {"resourceFieldRef": {"divisor": "1"}}}]}, True),
        # A NodePool of Karpenter.
        ({"limits": {"cpu": "1000m"}}, {"limits": {"cpu": "1"}}, True),
        ({"limits": {"nvidia.com/gpu": "8"}}, {"limits": {"nvidia.com/gpu": 8}}, True),
        ({"cache": {"size": "1024Mi"}}, {"cache": {"size": "1Gi"}}, True),
        ({"cache": {"size": "1024Mi"}}, {"cache": {"size": "2Gi"}}, False),
        ({"limits": {"cpu": "1000m"}}, {"limits": {"cpu": "2"}}, False),
        # Texts that nothing rewrites.
        ({"args": ["1024Mi"]}, {"args": ["1Gi"]}, False),
        ({"env": [{"name": "M", "value": "1024Mi"}]}, {"env": [{"name": "M", "value": "1Gi"}]},
         False),
        ({"labels": {"memory": "1024Mi"}}, {"labels": {"memory": "1Gi"}}, False),
        *(
            ({key: {"memory": "1024Mi"}}, {key: {"memory": "1Gi"}}, False)
            for key in ("nodeSelector", "matchLabels", "selector", "parameters")
        ),
        ({"scale": {"divisor": "1.0"}}, {"scale": {"divisor": "1"}}, False),
        ({"timeout": "60m"}, {"timeout": "0.06"}, False),
    ],
)  # fmt: skip
def test_canonical_quantity_in_a_custom_resource_is_no_change(
    spec: dict[str, Any], canonical: dict[str, Any], same: bool
) -> None:
    """Webhooks with the types of Kubernetes write it back, and `up` could not end this drift."""
    head = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "Widget", "metadata": {"name": "w"}}
    before, after = ({**head, "spec": part} for part in (spec, canonical))
    assert (not compare_objects(before, after)) is same
    assert (not compare_objects(after, before)) is same
    assert (normalize_quantities(before) == normalize_quantities(after)) is same
