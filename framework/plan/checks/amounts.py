"""Amounts of a resource as whole numbers that can be added, and back as people write them.

Kept apart from capacity: here is what a number means. Thousandths of a unit and integers, as
Kubernetes itself counts: a sum over a thousand models is neither slow nor off by a rounded float.
"""

from __future__ import annotations

from functools import lru_cache

from framework.schema.quantities import quantity_value

_BINARY = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


@lru_cache(maxsize=4096)
def read_amount(quantity: str) -> int:
    """Thousandths of a unit, rounded up: "500m" is 500, "1Ki" is 1024000."""
    exact = quantity_value(quantity) * 1000
    return -(-exact.numerator // exact.denominator)


def render_amount(thousandths: int, resource: str) -> str:
    """As people write it, rounded up: "2500m" of cpu, "1.5Ti" of memory, "16" GPUs."""
    if not (resource in ("memory", "ephemeral-storage") or resource.startswith("hugepages-")):
        return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)
    amount = -(-thousandths // 1000)
    for power in range(len(_BINARY), 0, -1):
        if amount >= (unit := 1024**power):
            whole, tenth = divmod(-(-amount * 10 // unit), 10)
            return (
                f"{whole}.{tenth}{_BINARY[power - 1]}" if tenth else f"{whole}{_BINARY[power - 1]}"
            )
    return str(amount)
