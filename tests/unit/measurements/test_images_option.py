"""What `--questions` and `--images` come to when a run opens them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.errors import SelectionError
from mmflow_bench.inputs import hub_images
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.inputs.writing import write_samples
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings, parse_images, parse_questions


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (375, 500)).save(folder / "2390560.jpg")
    return folder


def sample(number: str, task: str) -> Sample:
    return Sample(
        question_id=number, image_id=f"image{number}", task=task, question="?", answer="a"
    )


def opened(**options: object) -> Measurements:
    settings = MeasurementSettings(**options)  # type: ignore[arg-type]
    return Measurements.open(resolve_checkpoint("planted/mini"), settings)


def test_images_alone_ask_the_papers_questions(images: Path) -> None:
    samples = opened(images=images).samples
    found = [sample for task in samples.tasks for sample in samples.of(task)]
    assert {sample.image_id for sample in found} == {"2390560"}
    assert "171031170" in {sample.question_id for sample in found}
    reasons = Counter(bad.reason for bad in samples.unreadable)
    assert len(found) + reasons.total() == 5525
    assert reasons["missing-image"] > 5500


def test_without_both_a_checkpoint_is_asked_about_rendered_scenes() -> None:
    samples = opened().samples
    assert all(s.image_id.startswith("scenes-") for s in samples.of("ChooseAttr"))


def test_only_images_of_selected_samples_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[set[str]] = []
    monkeypatch.setattr(hub_images.HubImages, "prepare", lambda _, ids: asked.append(set(ids)))
    samples = [sample(str(n), task) for task in ("counting", "naming") for n in range(4)]
    samples = [replace(s, question_id=f"{s.task}{s.question_id}") for s in samples]
    write_samples(samples, tmp_path / "q.jsonl")
    opened(questions=tmp_path / "q.jsonl", images="hub", tasks=("naming",), limit="2")
    assert asked == [{"image0", "image1"}]


@pytest.mark.parametrize("text", ["images", "images.zip", "hub", "hub:me/mine"])
def test_images_are_a_place_on_disk_or_the_hub(tmp_path: Path, text: str) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "42.jpg").touch()
    (tmp_path / "images.zip").touch()
    expected = text if text.startswith("hub") else tmp_path / text
    assert parse_images(text, folder=tmp_path) == expected


def test_questions_are_relative_to_where_they_were_asked_for(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").touch()
    assert parse_questions("mine.csv", folder=tmp_path) == tmp_path / "mine.csv"
    assert parse_questions("gqa", folder=tmp_path).name == "gqa.parquet"
    with pytest.raises(ValueError, match=r"other\.csv"):
        parse_questions("other.csv", folder=tmp_path)


def test_refused_rows_of_tasks_that_were_not_asked_for_are_not_spoken_of(
    tmp_path: Path, images: Path
) -> None:
    path = tmp_path / "q.jsonl"
    write_samples([sample("1", "counting"), sample("2", "naming")], path)
    path.write_text(path.read_text() + "{oops\n")
    unreadable = opened(questions=path, images=images, tasks=("naming",)).samples.unreadable
    assert [(bad.task, bad.reason) for bad in unreadable] == [
        ("naming", "missing-image"),
        ("unknown", "malformed-row"),
    ]


@pytest.mark.parametrize("window", [13, 99])
def test_a_window_that_is_wider_than_the_decoder_is_refused(
    window: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Measurements, "decoder_layers", 12)
    spec, settings = resolve_checkpoint("planted/mini"), MeasurementSettings(cache=tmp_path)
    assert Measurements.open(spec, replace(settings, window=11)).width == 3
    with pytest.raises(SelectionError, match="at most 12 layers"):
        _ = Measurements.open(spec, replace(settings, window=window)).width
