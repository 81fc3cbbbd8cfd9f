"""What ``recipe init`` does: look at clips, choose what fits a GPU, and write a recipe."""
