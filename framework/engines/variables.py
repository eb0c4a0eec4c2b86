"""Removes environment variables that would change what the engines deploy: PULUMI_* and proxies.

Pulumi and its Kubernetes provider read many variables, which people export for other stacks. Some
change what is deployed: PULUMI_K8S_ENABLE_SERVER_SIDE_APPLY=false writes without server-side apply,
PULUMI_CONTINUE_ON_ERROR deletes a replaced Deployment although the new one failed, and
PULUMI_SKIP_CHECKPOINTS loses the state of a killed run. Only the variables for the place of the
state, the credentials, the request rates and the backups are kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_PREFIX = "PULUMI_"
_KEPT = frozenset(
    {
        "PULUMI_ACCESS_TOKEN",
        "PULUMI_API",
        "PULUMI_BACKEND_URL",
        "PULUMI_CONFIG_PASSPHRASE",
        "PULUMI_CONFIG_PASSPHRASE_FILE",
        "PULUMI_CONSOLE_DOMAIN",
        "PULUMI_DEFAULT_ORGANIZATION",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION",
        "PULUMI_DISABLE_CHECKPOINT_BACKUPS",
        "PULUMI_DISABLE_CI_DETECTION",
        "PULUMI_HOME",
        "PULUMI_IGNORE_AMBIENT_PLUGINS",
        "PULUMI_PLUGIN_DOWNLOAD_URL_OVERRIDES",
        "PULUMI_RETAIN_CHECKPOINTS",
        "PULUMI_SKIP_UPDATE_CHECK",
    }
)
_KEPT_PREFIXES = (
    "PULUMI_CI_",
    "PULUMI_COMMIT_",
    "PULUMI_CREDENTIAL",
    "PULUMI_DIY_BACKEND_",
    "PULUMI_GIT_",
    "PULUMI_K8S_CLIENT_",
    "PULUMI_SELF_MANAGED_STATE_",
    "PULUMI_VCS_",
)
# The embedded engine would not find a state in the layout of stacks without a project.
_LEGACY_LAYOUT = "_LEGACY_LAYOUT"


# The program and the engine talk by gRPC on this machine. Its library would send that to the proxy
# of HTTPS_PROXY, too, unless NO_PROXY names the address. No other traffic of ours is gRPC.
_WITHOUT_PROXY = {"no_grpc_proxy": "127.0.0.1,localhost"}


@contextmanager
def only_followed_variables() -> Iterator[None]:
    """Removes the other PULUMI_* variables from the environment of this process and its children.

    They are also removed from this process, because the CLI's inline program runs in it, and the
    constructor of the provider takes its options from variables. For the same reason, gRPC to this
    machine bypasses the proxy here.
    """
    foreign = [name for name in os.environ if not _is_followed(name)]
    before = {name: os.environ.get(name) for name in (*foreign, *_WITHOUT_PROXY)}
    for name in before:
        os.environ.pop(name, None)
    os.environ.update(_WITHOUT_PROXY)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _is_followed(name: str) -> bool:
    if not name.startswith(_PREFIX) or name in _KEPT:
        return True
    return name.startswith(_KEPT_PREFIXES) and not name.endswith(_LEGACY_LAYOUT)
