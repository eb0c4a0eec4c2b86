"""Checks models for settings that cannot work, break a rule of the policy, or have no effect.

The module `model` checks one model and collects its facts; `facts` compares those of all models.
"""
