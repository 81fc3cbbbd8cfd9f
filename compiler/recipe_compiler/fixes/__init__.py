"""Fixes: edits of a recipe's text that leave all of it alone but what they cure."""
