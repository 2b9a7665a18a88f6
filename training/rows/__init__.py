"""Examples and pairs as rows: the columns of each form, the rows themselves, and chats as text under a template."""

from faultgym.training.rows.columns import Arguments, Form, Reasoning, columns, features
from faultgym.training.rows.conversational import (
    arguments_value,
    chat,
    label_rows,
    pair_row,
    sft_row,
    tools_text,
    turn_rows,
)

__all__ = [
    "Arguments",
    "Form",
    "Reasoning",
    "arguments_value",
    "chat",
    "columns",
    "features",
    "label_rows",
    "pair_row",
    "sft_row",
    "tools_text",
    "turn_rows",
]
