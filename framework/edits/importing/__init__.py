"""Turns existing Kubernetes manifests into models of the catalog.

The path of a manifest: `manifests` reads the files, `workloads` finds the objects that belong to
each Deployment, `containers`, `pods` and `companions` read settings from them, `proof` renders the
settings and compares the result with the manifest, `entry` writes what differs from the profiles,
and `importer` puts the steps together.
"""
