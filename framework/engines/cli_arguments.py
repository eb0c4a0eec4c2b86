"""Fits the URNs of a run of the CLI into its command line, whose length the system limits.

The options `--target` and `--exclude` can be repeated, and the CLI reads them from no file. So a
long list gets patterns: all objects of a model that have its name need one.

    urn:pulumi:prod::catalog::catalog:index:Model$kubernetes:apps/v1:Deployment::ranker
    urn:pulumi:prod::catalog::catalog:index:Model$kubernetes:core/v1:Service::ranker
    **::ranker
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterable

from framework.core.errors import EngineError

# The other arguments, and the variables that are added for the CLI.
_RESERVED_BYTES = 64 * 1024
# Linux allows a quarter of the stack, within these limits.
_LINUX_MIN_BYTES, _LINUX_MAX_BYTES = 128 * 1024, 6 * 1024 * 1024
# An option before each URN; each argument has a final zero byte and a pointer.
_OPTION_BYTES = len("--exclude") + 2 * (1 + 8)


def fit_urns(arguments: Iterable[str], known: Iterable[str], limit: int | None = None) -> list[str]:
    """Returns URNs or patterns of URNs for the command line, sorted; most often as they are.

    `known` are all URNs that the CLI may meet: a pattern stands only for names that no other one of
    them has. `limit` is the number of bytes, by default that
    of the system. There are no more patterns than needed, because the CLI compares each one with
    every resource. Raises EngineError if the list is too long also with patterns.
    """
    fitting = sorted(arguments)
    limit = _find_limit() if limit is None else limit
    if (size := sum(map(_measure, fitting))) <= limit:
        return fitting
    groups: dict[str, list[str]] = {}
    for argument in fitting:
        groups.setdefault(_find_name(argument), []).append(argument)
    # An argument may be a pattern itself, with `*` after the name of the stack.
    named = {argument.replace("*::", "::", 1) for argument in fitting}
    shared = {_find_name(urn) for urn in known if urn not in named}
    saved = {
        name: sum(map(_measure, group)) - _measure(f"**::{name}")
        for name, group in groups.items()
        if name not in shared
    }
    for name in sorted(saved, key=lambda name: (-saved[name], name)):
        if size <= limit:
            break
        groups[name] = [f"**::{name}"]
        size -= saved[name]
    if size > limit:
        raise EngineError(
            f"pulumi would need {size // 1024} KiB of arguments to name {len(fitting)} resources, "
            f"and this system allows {limit // 1024} KiB; on Linux, raise the limit with "
            "`ulimit -s 65536`, or name fewer models with MODEL="
        )
    return sorted(argument for group in groups.values() for argument in group)


def _find_limit() -> int:
    variables = sum(len(os.fsencode(name + value)) + 2 + 8 for name, value in os.environ.items())
    allowed = os.sysconf("SC_ARG_MAX")
    if sys.platform == "linux":
        # The rule of the kernel (fs/exec.c). `sysconf` of musl, the C library of Alpine, always
        # returns the minimum.
        stack, _ = resource.getrlimit(resource.RLIMIT_STACK)
        quarter = _LINUX_MAX_BYTES if stack == resource.RLIM_INFINITY else stack // 4
        allowed = max(_LINUX_MIN_BYTES, min(quarter, _LINUX_MAX_BYTES))
    return allowed - variables - _RESERVED_BYTES


def _measure(argument: str) -> int:
    return len(argument.encode()) + _OPTION_BYTES


def _find_name(urn: str) -> str:
    return urn.rpartition("::")[2]
