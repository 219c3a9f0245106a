"""The text that an answer begins with, and prompts that begin it themselves."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mmflow_bench.measurements.first_token import FIRST_TOKENS, FirstToken, first_token_rows
from mmflow_bench.measurements.wants import UNSCORED


def at_work(choice, conversation):
    return SimpleNamespace(
        checkpoint=SimpleNamespace(
            spec=SimpleNamespace(input=choice),
            conversation=conversation,
            tokenizer=SimpleNamespace(decode=lambda ids: {7: "\n"}[ids[0]]),
        ),
        sample=SimpleNamespace(question_id="q1"),
        answer={"answer_token_id": 7},
        job=SimpleNamespace(key_of=lambda _: "key"),
        refused=lambda want, error: {UNSCORED: [{"scope": want.name, "reason": error.reason}]},
    )


@pytest.mark.parametrize(
    ("choice", "conversation"), [("hub", "llava_llama_3"), ("paper", "vicuna_v1"), ("hub", None)]
)
def test_the_first_token_is_kept_as_text(choice, conversation):
    rows = first_token_rows([FirstToken()], at_work(choice, conversation))
    assert rows == {FIRST_TOKENS: [{"sample": "key", "text": "\n"}]}


def test_a_prompt_that_ends_with_the_papers_line_break_is_refused():
    rows = first_token_rows([FirstToken()], at_work("paper", "llava_llama_3"))
    reason = "prompt-ends-with-the-paper's-line-break"
    assert rows == {UNSCORED: [{"scope": "first token", "reason": reason}]}
