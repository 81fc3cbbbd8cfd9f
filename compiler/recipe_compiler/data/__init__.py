"""The look at the clips: what is there, what becomes of it, and why."""
