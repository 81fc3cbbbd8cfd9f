"""The contract between compiler and runtime: recipe, settings, plan, ledger, events.

Standard library only. The compiler writes what is described here, the runtime reads it, and neither
imports the other.
"""
