"""`recipe fetch`: gets the folders of data sets that name a ``source``."""
