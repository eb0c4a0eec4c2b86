"""Builds programs that no package registry has: those of the local cluster, and Pulumi's.

Their Go modules are pinned in `tools/`. A program is built once per user, into the user's cache.
"""

from framework.builds.progress import OnProgress, SetupProgress

__all__ = ["OnProgress", "SetupProgress"]
