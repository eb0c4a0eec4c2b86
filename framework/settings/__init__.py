"""The settings people write, as frozen pydantic models.

Kept apart from merging and from manifests: a setting is declared, documented and checked here once,
and every later layer reads it by its Python name.
"""
