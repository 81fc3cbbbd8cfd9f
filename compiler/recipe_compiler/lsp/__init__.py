"""``recipe lsp``: what editors ask over the Language Server Protocol."""
