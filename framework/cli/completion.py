"""Renders the shell completion of the `modelcatalog` command, for bash and zsh."""

from __future__ import annotations

_PROGRAM = "modelcatalog"
# Lists the folders of the project in the current folder, which is also the one that the command
# works on. This does not start Python on every press of the Tab key.
_PREAMBLE = {
    "bash": r"""
_modelcatalog_list() { compgen -W "$1" -- "$2"; }
_modelcatalog_environments() {
  _modelcatalog_list "$(for file in environments/*/environment.yaml; do
    [ -e "$file" ] && basename "$(dirname "$file")"; done)" "$1"
}
_modelcatalog_models() {
  _modelcatalog_list "$(for file in catalog/[!_]*.yaml; do
    [ -e "$file" ] && basename "$file" .yaml; done)" "$1"
}
""",
    "zsh": r"""
_modelcatalog_environments() { compadd -- environments/*/environment.yaml(N:h:t) }
_modelcatalog_models() { compadd -- catalog/[^_]*.yaml(N:t:r) }
""",
}


def render_completion(shell: str) -> str:
    """Returns the script that a shell evaluates to complete verbs, options and names."""
    import shtab

    from framework.cli.main import build_parser

    script: str = shtab.complete(
        build_parser(_PROGRAM), shell, root_prefix=_PROGRAM, preamble=_PREAMBLE[shell]
    )
    return script
