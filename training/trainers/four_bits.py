"""Models in 4 bits on the CPU, the same on every processor."""

from __future__ import annotations

from typing import Any


def keep_unpacked(model: Any) -> Any:
    """Keep bitsandbytes from repacking the 4-bit weights of a model on a processor with AVX512-BF16.

    There each linear layer is repacked at its first pass in evaluation mode, for a kernel without a gradient: what is
    trained afterwards (ORPO looks at its rows in evaluation mode first) learns from wrong gradients. The kernel
    multiplies in bfloat16 whatever the model's type is, and an assertion fails where a layer's outputs are no multiple
    of 32 or its inputs none of 64. Unpacked, layers of every size are multiplied as on other processors.

    Args:
        model: Changed in place.

    Returns:
        The model.
    """
    from bitsandbytes.nn import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False
    return model
