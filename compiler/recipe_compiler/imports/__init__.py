"""Configurations of other trainers, made into recipes.

    files → reading: a tree that knows its lines → given: (key, value, place) → a trainer's table → draft → recipe, report

Each trainer has files of its own; what they share is written once. Names of SimpleTuner stand in the marks of the
language (``aka``) and in ``passes/foreign_keys.json``, as for lint. Nothing here is loaded by another command.
"""
