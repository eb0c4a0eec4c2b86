"""Random choices, the same ones for the same seed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

# This many of a hundred picks are one of the first values of a pool, the valid ones.
_MOSTLY_VALID = 80


class Chooser:
    """Makes the random choices of one model."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def chance(self, percent: int) -> bool:
        """Returns True in `percent` of a hundred calls."""
        return self._random.randrange(100) < percent

    def count(self, low: int, high: int) -> int:
        """Picks a number; both limits are included."""
        return self._random.randint(low, high)

    def pick(self, pool: Sequence[Any]) -> Any:
        """Picks from a pool: mostly one of the first three values."""
        return self._random.choice(pool[:3] if self.chance(_MOSTLY_VALID) else pool)

    def any_of(self, values: Iterable[Any]) -> Any:
        """Picks one of some values, each of them equally likely."""
        return self._random.choice([*values])

    def some_of(self, values: Iterable[Any], most: int) -> list[Any]:
        """Picks from one to `most` different values."""
        all_values = [*values]
        return self._random.sample(all_values, min(len(all_values), self.count(1, most)))
