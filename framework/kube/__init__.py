"""Reads, writes and awaits the objects of one Kubernetes cluster; knows no models."""
