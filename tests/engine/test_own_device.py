"""Where a process computes, and how exactly."""

import pytest
import torch

from odnbench.engine.training import own_device


def test_float32_is_exact_on_a_gpu_whoever_computes_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Predictions made after a trial must be those that the trial would have made."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        assert own_device() == torch.device("cuda")
        assert not torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "highest"
    finally:
        torch.set_float32_matmul_precision(before)
