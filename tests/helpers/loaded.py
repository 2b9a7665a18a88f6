"""Loads what a round of a loop needs, so that processes forked from here need not: seconds for each of them."""

import datasets  # noqa: F401
import peft  # noqa: F401
import torch
import transformers.models.llama.modeling_llama  # noqa: F401
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer  # noqa: F401

import faultgym.training.trainers.general_text
import faultgym.training.trainers.making
import faultgym.training.trainers.run  # noqa: F401
from helpers import loops  # noqa: F401

torch.set_num_threads(1)
