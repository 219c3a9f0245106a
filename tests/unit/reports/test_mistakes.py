"""A line a task about answers that are wrong."""

from __future__ import annotations

from mmflow_bench.reports.mistakes import mistakes


def rows(task, *predictions, right=()):
    answers = [
        {"task": task, "question_id": str(i), "is_correct": i in right, "prediction": said}
        for i, said in enumerate(predictions)
    ]
    questions = [
        {"task": task, "question_id": str(i), "question": f"Which of {i}?", "answer": "red"}
        for i in range(len(predictions))
    ]
    return answers, questions


def test_three_wrong_answers_stand_beside_question_and_reference() -> None:
    answers, questions = rows("A", "blue", "red", "", "x" * 200, "green", right={1})
    others, more = rows("B", "red", right={0})
    said = mistakes([*answers, *others], [*questions, *more])
    assert said == {
        "A": 'A: 4 answered wrongly: "Which of 0?" red, said blue; "Which of 2?" red, said nothing'
        f'; "Which of 3?" red, said {"x" * 79}…; ...'
    }


def test_where_all_are_right_nothing_is_said() -> None:
    assert mistakes(*rows("A", "red", right={0})) == {}
    assert mistakes([], []) == {}


def test_what_a_model_says_is_obeyed_by_no_terminal() -> None:
    answers, questions = rows("A", "\x1b[31m\nred\u202e")
    assert not any(sign in mistakes(answers, questions)["A"] for sign in "\x1b\u202e\n")
