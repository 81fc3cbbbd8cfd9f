"""The command line: the only code here that prints and exits."""
