"""The passes of the compiler, in the order of `recipe_compiler.pipeline`."""
