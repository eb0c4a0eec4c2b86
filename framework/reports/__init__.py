"""Reports on a catalog before it is deployed: explain, diff, affected, list."""
