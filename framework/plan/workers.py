"""Divides models among processes, one for each core, where there are enough of them.

Kept apart from what is found out about a model, and free of its imports: those take each process
half a second, and all of them load side by side.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from framework.core.subprocesses import package_environment

if TYPE_CHECKING:
    from framework.plan.share import Share

    Shares = dict[str, Share]

# The names of models by environment.
Part = Mapping[str, Collection[str]]

_SERVE = "from framework.plan.workers import serve; serve()"
# A process of its own costs about as much as so many models.
_FEWEST = 150


def count_cores() -> int:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Workers:
    """Processes that each find out about a part of the models; what a process that failed should
    have said, this one finds out itself. `count` includes this process."""

    def __init__(self, root: Path, models: Part, count: int | None = None) -> None:
        if count is None:
            count = min(count_cores(), sum(map(len, models.values())) // _FEWEST)
        own, *others = _divide(models, max(1, count))
        self._own, self._workers = own, [_Worker(root, part) for part in others]

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for worker in self._workers:
            worker.end()

    def gather(self, find: Callable[[Part], Shares]) -> list[Shares]:
        """Every process's shares; `find` finds those of a part in this one."""
        own = find(self._own)
        received = [(worker.part, worker.receive()) for worker in self._workers]
        return [own, *(find(part) if shares is None else shares for part, shares in received)]


def _divide(models: Part, count: int) -> list[Part]:
    """As many parts; a model is in the same one in every environment, so that one process reads
    its files."""
    names = sorted({name for listed in models.values() for name in listed})
    chosen = [frozenset(names[index::count]) for index in range(count)]
    return [{env: part & set(listed) for env, listed in models.items()} for part in chosen]


class _Worker:
    """One process; it ends when it has answered, or when nobody listens."""

    def __init__(self, root: Path, part: Part) -> None:
        self.part = part
        # It meets no signal of the terminal; whoever started it ends it.
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVE],
            env=package_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        # One that is gone already is found out about when it should answer.
        with contextlib.suppress(BrokenPipeError), self._process.stdin as orders:
            pickle.dump((root, part), orders)

    def receive(self) -> Shares | None:
        """What it found out; None where it failed."""
        assert self._process.stdout is not None
        answer = self._process.stdout.read()
        return pickle.loads(answer) if self._process.wait() == 0 else None

    def end(self) -> None:
        """End the process. After its answer this does nothing but free its files."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def serve() -> None:
    """A worker's whole life: its part from stdin, the shares to stdout."""
    # All that is made here lives to the end.
    gc.disable()
    root, part = pickle.load(sys.stdin.buffer)
    from framework.plan.share import find_shares

    pickle.dump(find_shares(root, part), sys.stdout.buffer, -1)
