"""Every loss has the same value and gradient on a GPU as on the CPU, in float32, and is finite under bf16."""

import numpy as np
import pytest
import torch

from afl_helpers.losses import LOSSES, build_loss

COUNTS, N_DOCUMENTS, ROWS = np.array([900, 400, 120, 40, 9, 3, 1]), 1000, 24
DEVICES = [
    "cpu",  # compares the CPU with itself: without a GPU, it shows that the test runs
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")),
]


def value_and_gradient(name: str, device: str, autocast: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(ROWS, len(COUNTS), generator=generator) * 3
    targets = (torch.rand(ROWS, len(COUNTS), generator=generator) < torch.from_numpy(COUNTS / N_DOCUMENTS)).float()
    logits, targets = logits.to(device).requires_grad_(), targets.to(device)
    loss = build_loss(name, label_counts=COUNTS, n_documents=N_DOCUMENTS).to(device).eval()
    with torch.autocast(device, dtype=torch.bfloat16, enabled=autocast):
        value = loss(logits, targets)
    (gradient,) = torch.autograd.grad(value, logits)
    return value.detach().cpu(), gradient.cpu()


@pytest.mark.filterwarnings("ignore:.*classes have a gamma")
@pytest.mark.filterwarnings("ignore:.*without its callback")
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_is_the_same_on_a_gpu(name, device):
    ours, theirs = value_and_gradient(name, "cpu"), value_and_gradient(name, device)
    for cpu, gpu in zip(ours, theirs):
        torch.testing.assert_close(gpu, cpu, rtol=1e-4, atol=1e-6)
    assert all(torch.isfinite(part).all() for part in value_and_gradient(name, device, autocast=True))
