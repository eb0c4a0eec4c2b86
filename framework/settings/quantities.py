"""Kubernetes quantities by value: 1 equals 1000m, and 1Gi is 1024Mi.

Kept apart so that everything that compares or adds amounts does it in exact fractions.
"""

from __future__ import annotations

import re
from fractions import Fraction

_SPLIT = re.compile(r"(\d+(?:\.\d+)?)(\D*)")
_DECIMAL = {"m": -1, "": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}


def quantity_value(text: str) -> Fraction:
    """Cores, bytes or devices that a quantity stands for; 0 for a text that is none."""
    match = _SPLIT.fullmatch(text)
    if match is None:
        return Fraction(0)
    number, suffix = match.groups()
    if suffix in _BINARY:
        return Fraction(number) * Fraction(1024) ** _BINARY[suffix]
    return (
        Fraction(number) * Fraction(1000) ** _DECIMAL[suffix] if suffix in _DECIMAL else Fraction(0)
    )
