"""Muon for the matrices inside a model's blocks, AdamW for everything else, in one optimizer."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from faultgym.core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from torch.optim import Optimizer

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration, from Keller Jordan's Muon (2024)."""
STEPS = 5


def muon_adamw(
    model: Module, learning_rate: float = 1e-3, muon_lr: float = 5e-3, weight_decay: float = 0.01
) -> Optimizer:
    """An optimizer over the model's trainable parameters that trainers and schedulers take as any other.

    Muon orthogonalises the momentum of each two-dimensional weight; embeddings, output layers, norms and biases, for
    which Muon is not meant, get AdamW. `torch.optim.Muon` iterates in bfloat16, which processors without such
    arithmetic take a hundred times longer over; here the iteration is in the weights' own type, and matrices of one
    shape are one batch.

    Args:
        model: Its parameters that require a gradient are taken.
        learning_rate: Of AdamW.
        muon_lr: Of Muon.
        weight_decay: Of both.

    Raises:
        UserError: Nothing is trainable.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not named:
        raise UserError("there is nothing to train: no parameter of the model is trainable")
    matrices = [p for name, p in named if p.ndim == 2 and not any(part in name for part in ("embed", "lm_head"))]
    chosen = {id(p) for p in matrices}
    others = [p for _, p in named if id(p) not in chosen]
    groups = [
        {"params": matrices, "lr": muon_lr, "momentum": 0.95, "muon": True},
        {"params": others, "lr": learning_rate, "betas": (0.9, 0.95), "eps": 1e-8, "muon": False},
    ]
    return _optimizer_class()([g for g in groups if g["params"]], {"weight_decay": weight_decay})


def orthogonalised(update: Tensor) -> Tensor:
    """The nearest orthogonal matrix, roughly.

    Args:
        update: A matrix, or a batch of matrices of one shape, [n, rows, columns].

    Returns:
        A tensor of the same shape.
    """
    a, b, c = NEWTON_SCHULZ
    x = update.mT if update.shape[-2] > update.shape[-1] else update
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(STEPS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if update.shape[-2] > update.shape[-1] else x


def _muon_step(group: dict[str, Any], state: Any) -> None:
    import torch

    shapes: dict[Any, list[Tensor]] = defaultdict(list)
    for p in group["params"]:
        if p.grad is not None:
            shapes[p.shape].append(p)
    for shape, parameters in shapes.items():
        gradients = torch.stack([p.grad for p in parameters])
        for p, gradient in zip(parameters, gradients, strict=True):
            momentum = state[p].setdefault("momentum", torch.zeros_like(p))
            momentum.lerp_(gradient, 1 - group["momentum"])
            gradient.lerp_(momentum, group["momentum"])
        scale = max(1.0, shape[0] / shape[1]) ** 0.5
        for p, update in zip(parameters, orthogonalised(gradients), strict=True):
            p.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"] * scale)


def _adamw_step(group: dict[str, Any], state: Any) -> None:
    import torch

    one, two = group["betas"]
    for p in group["params"]:
        if p.grad is None:
            continue
        own = state[p]
        if not own:
            own |= {"step": 0, "mean": torch.zeros_like(p), "square": torch.zeros_like(p)}
        own["step"] += 1
        own["mean"].lerp_(p.grad, 1 - one)
        own["square"].mul_(two).addcmul_(p.grad, p.grad, value=1 - two)
        root = (own["square"] / (1 - two ** own["step"])).sqrt_().add_(group["eps"])
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.addcdiv_(own["mean"], root, value=-group["lr"] / (1 - one ** own["step"]))


def _optimizer_class() -> Any:
    import torch

    class MuonAdamW(torch.optim.Optimizer):  # type: ignore[misc]
        """See `muon_adamw`."""

        @torch.no_grad()  # type: ignore[untyped-decorator]
        def step(self, closure: Any = None) -> Any:
            """One update of every group."""
            loss = None
            if closure is not None:
                with torch.enable_grad():
                    loss = closure()
            for group in self.param_groups:
                (_muon_step if group["muon"] else _adamw_step)(group, self.state)
            return loss

    return MuonAdamW
