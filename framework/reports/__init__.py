"""What people read about a catalog before anything is deployed: explain, diff, affected, list.

Kept apart from the plan, which these only read, and from the screens, which print what these find.
"""
