"""The reference pages, written from the definition of the language and the register of findings."""
