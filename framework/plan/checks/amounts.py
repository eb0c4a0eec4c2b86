"""Amounts of a resource as whole numbers that can be added, and back as people write them.

Kept apart from capacity: here is what a number means. Thousandths of a unit and integers, as
Kubernetes itself counts: a sum over a thousand models is neither slow nor off by a rounded float.
"""

from __future__ import annotations

from functools import lru_cache

from framework.settings.quantities import quantity_value

# Thousandths of a byte in a tenth of a Gi, the least that is told of memory.
_TENTH = 1024**3 * 100


@lru_cache(maxsize=4096)
def read_amount(quantity: str) -> int:
    """Thousandths of a unit, rounded up: "500m" is 500, "1Ki" is 1024000."""
    exact = quantity_value(quantity) * 1000
    return -(-exact.numerator // exact.denominator)


def render_amount(thousandths: int, resource: str, *, down: bool = False) -> str:
    """In the one unit people think of: "2.5" cores, "1.5Gi" of memory, "16" GPUs.

    What is needed is rounded up and what there is `down`, so that too much never looks like enough.
    """
    if not (resource in ("memory", "ephemeral-storage") or resource.startswith("hugepages-")):
        return _render_decimal(*divmod(thousandths, 1000), 3)
    tenths = thousandths // _TENTH if down else -(-thousandths // _TENTH)
    return f"{_render_decimal(*divmod(tenths, 10), 1)}Gi"


def _render_decimal(whole: int, rest: int, digits: int) -> str:
    return f"{whole}.{rest:0{digits}}".rstrip("0").rstrip(".")
