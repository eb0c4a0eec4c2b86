"""Kubernetes kinds that a model can have: one module each, and their registry."""
