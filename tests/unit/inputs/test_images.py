from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from mmflow_bench.errors import ImageError
from mmflow_bench.inputs.images import find_image, open_image
from mmflow_bench.inputs.samples import Sample


def a_sample(image: Image.Image | Path | None) -> Sample:
    return Sample(
        question_id="007", image_id="42", task="own", question="?", answer="a", image=image
    )


def save(folder: Path, name: str, mode: str = "RGB", kind: str = "PNG") -> Path:
    path = folder / name
    Image.new(mode, (4, 3)).save(path, format=kind)
    return path


@pytest.mark.parametrize("name", ["42", "42.jpg", "42.jpeg", "42.png", "42.webp"])
def test_an_image_is_found_with_or_without_a_suffix(tmp_path: Path, name: str) -> None:
    assert find_image(tmp_path, "42") is None
    assert find_image(tmp_path, "42") == find_image(tmp_path, "43")
    path = save(tmp_path, name)
    assert find_image(tmp_path, "42") == path


def test_an_id_that_leaves_the_folder_is_not_found(tmp_path: Path) -> None:
    save(tmp_path, "secret.png")
    folder = tmp_path / "images"
    folder.mkdir()
    assert find_image(folder, "../secret") is None
    assert find_image(folder, str(tmp_path / "secret")) is None


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "CMYK"])
def test_every_image_comes_as_rgb(tmp_path: Path, mode: str) -> None:
    path = save(tmp_path, "42", mode, "TIFF")
    assert open_image(a_sample(path)).mode == "RGB"
    assert open_image(a_sample(Image.new(mode, (4, 3)))).size == (4, 3)


def test_a_rotation_tag_is_ignored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4, 3)).save(tmp_path / "42.jpg", exif=exif)
    assert open_image(a_sample(tmp_path / "42.jpg")).size == (4, 3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "missing-image"),
        (b"", "unreadable-image"),
        (b"no image at all", "unreadable-image"),
        (b"\x89PNG\r\n\x1a\n" + b"\x00" * 40, "unreadable-image"),
    ],
)
def test_a_bad_file_is_refused_with_sample_and_path(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "42.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        open_image(a_sample(path))
    assert caught.value.reason == reason
    assert "007" in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_file_that_was_cut_short_is_unreadable(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "42"
    Image.effect_noise((64, 64), 90).convert("RGB").save(path, format=kind)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ImageError) as caught:
        open_image(a_sample(path))
    assert caught.value.reason == "unreadable-image"


@pytest.mark.parametrize("limit", [6, 9])
def test_an_image_beyond_the_safe_size_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    path = save(tmp_path, "42.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit - 1)
    with pytest.raises(ImageError) as caught:
        open_image(a_sample(path))
    assert caught.value.reason == "image-too-large"


def test_a_sample_without_an_image_says_how_to_give_one() -> None:
    with pytest.raises(ImageError, match="--images=DIR"):
        open_image(a_sample(None))
