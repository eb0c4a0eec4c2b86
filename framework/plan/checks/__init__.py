"""Checks of merged models: what cannot work, breaks a rule of the policy, or is superfluous.

`model` checks one model and collects its facts; `facts` compares the facts of all models.
"""
