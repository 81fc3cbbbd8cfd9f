"""What ``recipe doctor`` looks at: whether a machine can train, and what to do where it can't."""
