"""PLAN=: `preview` writes what would happen, and `up` applies exactly that or refuses."""

from __future__ import annotations

import argparse
import secrets
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from framework.cli.session import Session
from framework.core.changes import Difference, PlanInputs, Preview
from framework.core.commands import make_command
from framework.core.errors import PlanFileError, PlanRefusedError, UsageError
from framework.core.passphrase import SET_PASSPHRASE, has_passphrase, read_passphrase
from framework.engines.base import Request
from framework.engines.live_objects import Basis
from framework.engines.project import Project, load_project
from framework.engines.reviewed_plan import (
    Digests,
    compute_inputs,
    find_changed_secrets,
    find_differences,
)
from framework.output.plan_file import (
    build_plan,
    check_replaceable,
    describe_plan,
    index_changes,
    index_planned,
    read_plan,
    render_differences,
    write_plan,
)


class PlanWriter:
    """Writes the plan of a preview; `request` is the one to preview."""

    def __init__(self, session: Session, options: argparse.Namespace) -> None:
        self._session, self._path, self._model = session, Path(options.plan), options.model
        check_replaceable(self._path)
        self._digests = Digests(secrets.token_hex(16), _read_passphrase(session.request.root))
        self._inputs: PlanInputs | None = None
        self.request = replace(session.request, review=self._review)

    def _review(self, preview: Preview, basis: Basis) -> None:
        plan, request = self._session.plan, self._session.request
        if not self._digests.keyed and (names := find_changed_secrets(plan, preview.changes)):
            raise PlanFileError(
                self._path,
                f"was not written: {', '.join(names)} would change and has values that may be "
                "secret, and a digest of them could be guessed without a key",
                f"{SET_PASSPHRASE}, here and for `up`",
            )
        self._inputs = compute_inputs(
            request.root, plan, request.components, basis, preview.changes, self._digests
        )

    def write(self, preview: Preview) -> str:
        """Writes the plan. Returns the line with the command that applies it."""
        assert self._inputs is not None, "the engine reviews each preview"
        plan, components = self._session.plan, self._session.request.components
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        document = build_plan(
            preview,
            plan,
            self._inputs,
            model=self._model,
            models=components,
            engine=self._session.engine.name,
            created=created,
        )
        write_plan(self._path, document, self._digests)
        environment = plan.stack.environment
        return (
            f"wrote {self._path}\n"
            f"next: make up ENV={environment} PLAN={self._path}   applies exactly this, or refuses"
        )


class PlanToApply:
    """A plan file that `up` is to apply."""

    def __init__(self, root: Path, options: argparse.Namespace) -> None:
        """Reads the file of PLAN=.

        Errors: UsageError with MODEL, PlanFileError for a file that cannot be used.
        """
        if options.model is not None:
            raise UsageError(
                "up does not accept MODEL together with PLAN: the plan has its own models; leave "
                f"MODEL out, or write another plan: "
                f"`{make_command('preview', options.environment, options.model)} "
                f"PLAN={options.plan}`"
            )
        self._path = Path(options.plan)
        self._document, self._digests = read_plan(
            self._path, options.environment, _read_passphrase(root)
        )
        self._check_backend(load_project(root))

    def _check_backend(self, project: Project) -> None:
        """Refuses a plan for another project or backend, before a stack is created there.

        `up` would record everything in a state that nobody looks at again. The digests do not show
        it: before the first deployment, every state is empty.
        """
        inputs = self._document.inputs
        reviewed, now = (inputs.project, inputs.backend), (project.name, project.identify_backend())
        # A plan of an earlier version names none, and is refused because the code has changed.
        if reviewed != now and any(reviewed):
            raise PlanFileError(
                self._path,
                f"was written for project {reviewed[0]} with its state in {reviewed[1]}, and this "
                f"is project {now[0]} with its state in {now[1]}",
                "set PULUMI_BACKEND_URL as it was for `preview`, or write it again with "
                f"`make preview ENV={self._document.environment} PLAN={self._path}`",
            )

    @property
    def models(self) -> frozenset[str] | None:
        """The models that the plan covers; None for the whole stack."""
        covered = self._document.models
        return None if covered is None else frozenset(covered)

    def describe(self) -> str:
        """Returns the line of the header that names the plan."""
        return f"plan     {self._path}: {describe_plan(self._document)}"

    def build_request(self, session: Session) -> Request:
        """Builds the request that `up` carries out. PlanRefusedError where a model is gone."""
        self._check_models_exist(session)

        def review(preview: Preview, basis: Basis) -> None:
            self._check(session, preview, basis)

        return replace(session.request, review=review)

    def _check_models_exist(self, session: Session) -> None:
        """Refuses a plan of models that neither catalog nor state has any more.

        The engine would call it an unknown name, as if MODEL had been misspelt.
        """
        known = {model.name for model in session.plan.models}
        # A model that the plan deletes is only in the state.
        if self.models and self.models - known:
            known |= session.engine.summarize(session.request).components
        gone = sorted((self.models or frozenset()) - known)
        if gone:
            differences = [Difference(f"model {name}", self._find_former(name)) for name in gone]
            # If the plan was to delete them, it has probably been applied already.
            is_deleted = all(difference.sources == ("state",) for difference in differences)
            raise self._refuse(
                differences, clean=is_deleted and len(gone) == len(self.models or ())
            )

    def _find_former(self, model: str) -> tuple[str, ...]:
        """Returns which of catalog and state had a model when the plan was written.

        A model that the plan deletes was in the state alone.
        """
        inputs = self._document.inputs
        # Every model has a Deployment of its name.
        return tuple(
            source
            for source, keys in (("catalog", inputs.catalog), ("state", inputs.state))
            if any(":Deployment " in key and key.rpartition("/")[2] == model for key in keys)
        )

    def _check(self, session: Session, preview: Preview, basis: Basis) -> None:
        """Raises PlanRefusedError if `up` would not do exactly what is in the plan."""
        document = self._document
        # First, because on another cluster every object would be listed as different.
        if document.inputs.cluster != basis.cluster:
            raise PlanFileError(
                self._path,
                f"was written for the cluster with kube-system UID {document.inputs.cluster}, and "
                f"{document.environment} is now on the one with {basis.cluster}",
                f"write it again with `make preview ENV={document.environment} PLAN={self._path}`",
            )
        now = compute_inputs(
            session.request.root, session.plan, self.models, basis, preview.changes, self._digests
        )
        differences = find_differences(
            document.inputs, index_planned(document), now, index_changes(preview.changes)
        )
        if differences:
            raise self._refuse(differences, clean=preview.clean)

    def _refuse(self, differences: list[Difference], *, clean: bool = False) -> PlanRefusedError:
        document = self._document
        report = render_differences(differences, clean=clean)
        return PlanRefusedError(self._path, document.environment, report, document.model or "")


def _read_passphrase(root: Path) -> str:
    """Returns the stack's passphrase, "" where none is given."""
    return read_passphrase(root) if has_passphrase() else ""
