"""Changes to the catalog's own YAML files, made in place: comments and order stay.

Kept apart from reading: nothing else writes a file that people wrote.
"""
