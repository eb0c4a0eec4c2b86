"""The name of a stack, together with the environment that it deploys."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Stack:
    """One Pulumi stack of an environment.

    `environment` is the folder under environments/ that it deploys, which users give as ENV.
    `name` is what Pulumi calls the stack; `str()` returns it. Today both are equal. Code that needs
    one of the two must not use the other, so that an environment can have several stacks later,
    such as `prod-eu` and `prod-us`.
    """

    environment: str
    name: str

    @classmethod
    def of(cls, environment: str) -> Stack:
        """Returns the only stack of an environment, which has the name of the environment."""
        return cls(environment, environment)

    def __str__(self) -> str:
        return self.name
