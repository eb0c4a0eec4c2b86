"""Reads and writes the objects of one Kubernetes cluster, and waits for them."""
