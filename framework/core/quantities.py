"""Kubernetes quantities: what `500m` or `1Gi` is worth, and which fields hold one.

The API server compares quantities by their value, and stores each in one canonical form. So two
spellings of one value are no change: `500m` and `0.5`, `1Gi` and `1024Mi`, `1000m` and `1`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

from framework.core.field_paths import FREE_KEYS

# https://github.com/kubernetes/apimachinery/blob/master/pkg/api/resource/quantity.go, the grammar
# in the comment of `Quantity`. "m" is a thousandth; "Ki" is 1024, "k" is 1000.
_QUANTITY = re.compile(
    r"(?P<number>[-+]?(\d+\.?\d*|\.\d+))((?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[-+]?\d{1,3}))?"
)
_DECIMAL = {"n": -3, "u": -2, "m": -1, "": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}

# The fields of the type Quantity, and the mappings of such values, in the objects of the API and in
# our settings. tests/core/test_quantities.py compares them with the API's own types.
_FIELDS = frozenset(
    {"sizeLimit", "divisor", "averageValue", "tolerance", "quantity", "perContainer", "perPod"}
)
_FIELDS_OF = {"target": "value", "current": "value", "claim": "size", "ephemeral": "size"}
_MAPPINGS = frozenset(
    {"requests", "limits", "overhead", "capacity", "allocatedResources", "allocatable"}
    # A LimitRange and a ResourceQuota.
    | {"default", "defaultRequest", "max", "min", "maxLimitRequestRatio", "hard", "used"}
)
# Mappings of texts, which are compared as texts: `size: 1Gi` does not select `size: 1024Mi`.
_TEXTS = FREE_KEYS | {"matchLabels", "nodeSelector", "parameters", "selector"}

# Custom resources embed types of Kubernetes, such as volumes and containers. Their fields are
# known by name and parent, because `divisor` of another type may be any text.
_EMBEDDED = frozenset({("emptyDir", "sizeLimit"), ("resourceFieldRef", "divisor")})
_RESOURCES = frozenset({"cpu", "memory", "storage", "ephemeral-storage"})


# The built-in API groups with a dot in their names whose objects hold quantities.
_BUILT_IN_GROUPS = frozenset({"node.k8s.io", "resource.k8s.io", "storage.k8s.io"})


def may_be_custom(api_version: object) -> bool:
    """Returns True if an object may be a custom resource, whose group has a dot in its name.

    So have built-in groups such as `networking.k8s.io`, but no field of their objects is a
    quantity, so they need no exception.
    """
    group = str(api_version or "").rpartition("/")[0]
    return "." in group and group not in _BUILT_IN_GROUPS


@cache
def parse_quantity(text: str) -> Fraction | None:
    """Returns the value of a quantity: 1/2 for "500m"; None for a text that is not one.

    Values are fractions because the sum of ten floats of 0.1 is less than 1.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    number, suffix = Fraction(match["number"]), match["suffix"] or ""
    if suffix in _BINARY:
        return number * Fraction(1024) ** _BINARY[suffix]
    return number * Fraction(10) ** int(match["exponent"] or 3 * _DECIMAL[suffix])


def quantity_value(text: str) -> Fraction:
    """Returns the cores, bytes or devices of a quantity; 0 for a text that is not one."""
    return parse_quantity(text) or Fraction(0)


def multiply_quantity(text: str, factor: int) -> str:
    """Returns a multiple of a quantity in the same unit: "4000m" for "500m" and 8."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return text
    # Decimal, because 0.1 * 3 is 0.30000000000000004 as a float.
    product = Decimal(match["number"]) * factor
    return f"{product.normalize() if product % 1 else int(product)}{text[match.end('number') :]}"


def is_quantity_path(path: Sequence[object], *, is_custom_resource: bool = False) -> bool:
    """Returns True if the field of an object, or the setting, at `path` holds a quantity.

    `default.version` of a custom resource may be any text, and the server stores what was sent.
    Only fields that mostly have the type of Kubernetes count there, because webhooks and operators
    write their canonical form back.
    """
    if len(path) < 2:
        return False
    parent, name = str(path[-2]), str(path[-1])
    if is_custom_resource:
        return _is_embedded_quantity(path)
    # `annotations.divisor` is a text that somebody wrote.
    if parent in _TEXTS:
        return False
    return name in _FIELDS or _FIELDS_OF.get(parent) == name or parent in _MAPPINGS


def _is_embedded_quantity(path: Sequence[object]) -> bool:
    """Returns True for a quantity in a type of Kubernetes that a custom resource embeds."""
    parent, name = str(path[-2]), str(path[-1])
    if len(path) > 2 and path[-3] == "resources" and parent in ("requests", "limits"):
        return True
    if (parent, name) in _EMBEDDED:
        return True
    # `nvidia.com/gpu` and `hugepages-2Mi`.
    is_extended = parent in _MAPPINGS and ("/" in name or name.startswith("hugepages-"))
    return parent not in _TEXTS and (name in _RESOURCES or is_extended)


def _has_binary_unit(path: Sequence[object], value: object) -> bool:
    """Returns True for a value such as `1024Mi`, which is a quantity in nearly every field.

    Not for texts that nothing rewrites: arguments, variables, labels.
    """
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or match["suffix"] not in _BINARY or len(path) < 2:
        return False
    is_item = isinstance(path[-1], int)
    is_variable = path[-1] == "value" and not isinstance(path[-2], str)
    return not is_item and not is_variable and str(path[-2]) not in _TEXTS


def is_same_quantity(
    path: Sequence[object], old: Any, new: Any, *, is_custom_resource: bool = False
) -> bool:
    """Returns True if `path` holds a quantity, and both values are the same one.

    In a custom resource, a value with a binary unit is a quantity as well.
    """
    is_quantity = is_quantity_path(path, is_custom_resource=is_custom_resource) or (
        is_custom_resource and any(_has_binary_unit(path, value) for value in (old, new))
    )
    if not is_quantity:
        return False
    before, after = (
        parse_quantity(str(value)) if type(value) in (str, int, float) else None
        for value in (old, new)
    )
    return before is not None and before == after


def normalize_quantities(
    value: Any, path: tuple[object, ...] = (), *, is_custom_resource: bool = False
) -> Any:
    """Returns an object or a list of objects in which equal quantities are equal texts."""
    if isinstance(value, dict):
        if "apiVersion" in value:
            is_custom_resource = may_be_custom(value["apiVersion"])
        return {
            key: normalize_quantities(child, (*path, key), is_custom_resource=is_custom_resource)
            for key, child in value.items()
        }
    if isinstance(value, list):
        return [
            normalize_quantities(child, (*path, index), is_custom_resource=is_custom_resource)
            for index, child in enumerate(value)
        ]
    is_quantity = is_quantity_path(path, is_custom_resource=is_custom_resource) or (
        is_custom_resource and _has_binary_unit(path, value)
    )
    if is_quantity and type(value) in (str, int, float):
        amount = parse_quantity(str(value))
        return value if amount is None else str(amount)
    return value
