"""The precisions that a plan names, as torch types."""

from collections.abc import Mapping

import torch


DTYPES: Mapping[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
"""By the names that settings use."""
