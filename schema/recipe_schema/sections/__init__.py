"""The sections of the recipe language, one file for each part of it. `recipe_schema.recipe` puts them together."""
