"""Talks to one Kubernetes API server; knows nothing of state files, YAML of models, or Pulumi."""
