"""What people see of a run in a browser: a report in one file, and a page that follows runs. Nothing here needs torch."""
