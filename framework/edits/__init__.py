"""Edits of the catalog's YAML files in place, which keep comments and the order of keys."""
