"""Loads what training and a round of a loop need, so that processes forked from here need not: seconds for each."""

import datasets  # noqa: F401
import peft  # noqa: F401
import torch
import transformers.models.llama.modeling_llama  # noqa: F401
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer  # noqa: F401

import faultgym.training.trainers.general_text
import faultgym.training.trainers.making
import faultgym.training.trainers.run  # noqa: F401
from helpers import lessons, loops  # noqa: F401

torch.set_num_threads(1)
