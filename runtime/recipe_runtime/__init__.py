"""The runtime: a plan in, a run directory out. Never imports the compiler."""
