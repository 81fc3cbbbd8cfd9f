"""Everyone who follows a run besides the console: webhooks and trackers. All of them hear events, and nothing else."""
