"""The runtime: a plan in, a run directory out. Never imports the compiler."""

import logging


# It is imported along with diffusers wherever it is installed, and then warns of an optional kernel.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
