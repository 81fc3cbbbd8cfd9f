"""Looks after a store: lists, checks and cleans it. ``python -m recipe_runtime.keeping ls|verify|gc STORE``."""
