"""Finds amounts that the API server accepts and that are a mistake, such as `memory: 512m`."""

from __future__ import annotations

import re
from fractions import Fraction

from framework.core.quantities import quantity_value

_BYTES = re.compile("memory|storage|ephemeral-storage")
# No container starts in less memory (runc itself needs more), and no volume is smaller.
_MIN_BYTES = 1024 * 1024
# The largest machines that clouds rent have 1920 cores.
_MAX_CORES = 1920
# A larger number of whole cores that ends in 00 or 50 was meant in thousandths. Machines have 384,
# 448 or 896 cores.
_MANY_CORES = 250
# The unit that was probably meant: "512m" is 512Mi, 8 is 8Gi.
_MEANT = {"": "Gi", "m": "Mi", "k": "Mi", "Ki": "Mi"}
# With these, a number of cores was meant: 4Gi of CPU is 4. 500Mi is 500m.
_LARGE_UNITS = frozenset({"G", "Gi", "T", "Ti", "P", "Pi", "E", "Ei"})


def find_unlikely(resource: str, amount: str) -> str:
    """Returns the message for an amount with a unit that is probably wrong; "" for other amounts.

    512m of memory is half a byte, because "m" is a thousandth; 8 is eight bytes; 4Gi of CPU are
    four billion cores. 0 is a valid amount of memory.
    """
    value = quantity_value(amount)
    number, unit = amount.rstrip("kKMGTPEim"), amount.lstrip("0123456789.")
    if resource == "storage" and not value:
        return f"is {amount}; expected more than 0"
    if _BYTES.fullmatch(resource) and 0 < value < _MIN_BYTES:
        # 1024 was meant in Mi, 8 in Gi.
        meant = f"{number}{'Mi' if value >= 256 else _MEANT.get(unit, 'Gi')}"
        return f'is {amount}, which is {_count_bytes(value)}; did you mean "{meant}"?'
    if resource == "cpu" and value > _MAX_CORES:
        meant = number if unit in _LARGE_UNITS else f"{number}m"
        return f'is {amount}, which is {int(value)} cores; did you mean "{meant}"?'
    if resource == "cpu" and value >= _MANY_CORES and not value % 50 and not unit:
        return (
            f'is {amount}, which is {int(value)} cores; did you mean "{number}m"? '
            f'If you mean that many, write "{int(value * 1000)}m"'
        )
    return ""


def _count_bytes(value: Fraction) -> str:
    return "less than one byte" if value < 1 else f"{int(value)} bytes"
