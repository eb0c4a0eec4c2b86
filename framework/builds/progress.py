"""The progress of a set-up that takes minutes, as plain data for the command line to draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class SetupProgress:
    """One progress event. `elapsed` is in seconds since this step of this component began.

    `step` is `toolchain` or `build`; the local cluster adds `pki`, `start`, `nodes` and `ready`.
    """

    step: str
    component: str
    index: int
    total: int
    elapsed: float
    message: str
    done: bool


OnProgress = Callable[[SetupProgress], None]
