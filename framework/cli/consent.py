"""What must not happen without a person's yes, and how it is asked for.

Kept apart from the screens, which only say which changes wait for it, and from the verbs, which all
ask in the same way.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection

from framework.cli.session import Session
from framework.core.changes import Change, Op, Preview
from framework.core.errors import ConsentError
from framework.kinds.naming import track_name
from framework.output.changes import is_shown, render_changes, render_messages


def needs_consent(change: Change, models: Collection[str]) -> bool:
    """Whether a change takes something away, or over, that a person should agree to; `models`
    stay.

    Not asked about in a model that stays: its ConfigMaps with content-hashed names, which change
    and go with the settings; and its canary track, since promoting or aborting its candidate was
    the decision.
    """
    if change.takes_over:
        return True
    if change.op not in (Op.DELETE, Op.REPLACE):
        return False
    if change.component not in models:
        return True
    canary = track_name(change.component, "canary")
    name = change.object.rpartition("/")[2]
    if change.kind == "ConfigMap":
        hashed = (f"{change.component}-config-", f"{canary}-config-")
        return change.op is Op.DELETE and not name.startswith(hashed)
    return change.op is Op.REPLACE or name != canary


class Confirmation:
    """Shows the change list and asks, where there is something to ask and somebody to answer.

    `asked` is True once there was a change list, `messages` are those shown with it.
    """

    def __init__(self, session: Session, options: argparse.Namespace) -> None:
        self._session, self._yes, self._verb = session, options.yes, options.verb
        self._model = getattr(options, "model", None) or ""
        self._models = frozenset(model.name for model in session.plan.models)
        self.asked = False
        self.messages: tuple[str, ...] = ()

    def __call__(self, preview: Preview) -> bool:
        self.asked, self.messages = True, preview.messages
        print(f"\n{self._render(preview)}\n", flush=True)
        if self._yes:
            return True
        if sys.stdin.isatty() and sys.stdout.isatty():
            return _ask("Apply? [y/N] ")
        taken = [change for change in preview.changes if self._takes_away(change)]
        if taken:
            raise ConsentError(
                self._verb, self._session.plan.stack.environment, len(taken), self._model
            )
        return True

    def _render(self, preview: Preview) -> str:
        rolls_out = self._verb == "up"
        changes = render_changes(
            preview,
            # The other verbs have no forecast.
            self._session.plan if rolls_out else None,
            components=self._session.request.components,
            asks=self._takes_away if rolls_out and not self._yes else None,
        )
        return "\n".join(part for part in (changes, render_messages(preview.messages)) if part)

    def _takes_away(self, change: Change) -> bool:
        if not is_shown(change):
            return False
        if self._verb == "refresh":
            return change.op is not Op.SAME
        return needs_consent(change, self._models)


def _ask(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False
