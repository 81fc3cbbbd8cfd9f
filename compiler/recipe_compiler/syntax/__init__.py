"""From text to a tree with positions."""
