"""The name under which a model takes a cache."""

from __future__ import annotations

from torch import nn
from transformers import Cache, DynamicCache

from mmflow_bench.interventions.extending import keeping


class Older(nn.Module):
    def forward(self, past_key_values: Cache | None = None) -> Cache | None:
        return past_key_values


class Newer(nn.Module):
    def forward(self, cache: Cache | None = None) -> Cache | None:
        return cache


def test_a_model_is_given_a_cache_by_the_name_that_it_knows() -> None:
    cache = DynamicCache()
    for model in (Older(), Newer()):
        assert model(**keeping(model, cache)) is cache
