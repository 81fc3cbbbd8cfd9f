"""Recipes, written as configurations of other trainers. Nothing here is loaded by another command."""
