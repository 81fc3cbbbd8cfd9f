"""The runtime: a plan in, a run directory out. Never imports the compiler."""

import logging


# They are imported along with diffusers wherever they are installed, and then warn of optional kernels and of each other.
for _name in ("bitsandbytes", "torchao", "torch.utils._pytree", "diffusers.quantizers.torchao.torchao_quantizer"):
    logging.getLogger(_name).setLevel(logging.ERROR)
