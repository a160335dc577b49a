"""LoRA (Hu et al., ICLR 2022) through peft: train products of two small matrices instead of an encoder's weights.

The products are put into the layers of the model itself, without a wrapper, and added to the weights at the end: so
checkpoints, saving and prediction are those of any other model.
"""

from typing import TYPE_CHECKING

from torch import nn

from afl_helpers.errors import require

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def add_lora(model: "PreTrainedModel", rank: int) -> None:
    """Freeze the encoder of a classifier, and add a product of rank ``rank`` to each of its linear layers.

    Outputs do not change at first, because one of the two matrices starts at zero. The head stays as it is, to be trained.

    Raises:
        MissingExtraError: peft is not installed.
    """
    peft = require("peft", "lora", "lora_rank")
    encoder = model.base_model
    encoder.requires_grad_(False)
    linear = [name for name, module in encoder.named_modules() if isinstance(module, nn.Linear)]
    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=linear)
    peft.inject_adapter_in_model(config, encoder)


def merge_lora(model: nn.Module) -> None:
    """Add the products to the weights, and put the plain layers back."""
    peft = require("peft", "lora", "lora_rank")
    for name, module in list(model.named_modules()):
        if isinstance(module, peft.tuners.lora.LoraLayer):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module.get_base_layer())
    model.requires_grad_(True)
