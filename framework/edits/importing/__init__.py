"""Turns existing Kubernetes manifests into models of the catalog.

The modules in the order in which a manifest passes through them:

    manifests      reads the files
    workloads      finds the objects that belong to each Deployment
    translation    gives the objects the names that the framework uses
    config_files   does so for ConfigMaps that containers mount
    containers, pods, companions    read settings from the objects
    reading        decides what becomes of settings that validation refuses
    profiles       chooses the profiles that make the entry short
    entry          writes the settings that the profiles do not have
    proof          renders the entry, compares it with the manifest, and adds patches
    overlays       does the same for each environment
    dry_run        compares both sides on an API server

`importer` calls them. `comparison`, with `framework/plan/api_defaults.py`, decides which
manifests are equal.
"""
