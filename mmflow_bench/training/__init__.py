"""Measuring while it trains: a callback for transformers' `Trainer`, and what it has written."""

from mmflow_bench.training.callback import FlowCallback
from mmflow_bench.training.steps import read_steps

__all__ = ["FlowCallback", "read_steps"]
