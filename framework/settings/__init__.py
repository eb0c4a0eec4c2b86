"""The settings that people may write: frozen pydantic models, their checks and their reference.

A setting is declared once, with its type, default and description. The descriptions become
docs/settings.md and the JSON Schemas for editors (`make schema`).
"""
