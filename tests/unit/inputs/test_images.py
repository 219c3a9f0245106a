from __future__ import annotations

import subprocess
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mmflow_bench.errors import ImageError
from mmflow_bench.inputs.image_sources import Folder
from mmflow_bench.inputs.images import open_image
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
    assert Folder(tmp_path).find("42") is None
    assert Folder(tmp_path).find("42") == Folder(tmp_path).find("43")
    path = save(tmp_path, name)
    assert Folder(tmp_path).find("42") == path


def test_an_id_that_leaves_the_folder_is_not_found(tmp_path: Path) -> None:
    save(tmp_path, "secret.png")
    folder = tmp_path / "images"
    folder.mkdir()
    assert Folder(folder).find("../secret") is None
    assert Folder(folder).find(str(tmp_path / "secret")) is None


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


def as_published(path: Path) -> tuple[int, int, int]:
    pixel = open_image(a_sample(path)).getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return pixel[0], pixel[1], pixel[2]


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_printing_colours_become_the_colours_that_they_print(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "42"
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(path, format=kind)
    red, green, blue = as_published(path)
    assert red > 240
    assert max(green, blue) < 15


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize(("stored", "shown"), [(0, 0), (65535, 255), (32896, 128), (257, 1)])
def test_sixteen_bits_keep_their_brightness(
    tmp_path: Path, kind: str, stored: int, shown: int
) -> None:
    path = tmp_path / "42"
    Image.fromarray(np.full((3, 4), stored, np.uint16)).save(path, format=kind)
    assert as_published(path) == (shown,) * 3


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_brightness_without_a_known_range_is_refused(tmp_path: Path, kind: type) -> None:
    path = tmp_path / "42"
    Image.fromarray(np.full((3, 4), 70_000, kind)).save(path, format="TIFF")
    with pytest.raises(ImageError, match="range") as caught:
        open_image(a_sample(path))
    assert caught.value.reason == "unreadable-image"


@pytest.mark.parametrize("transparency", [0, bytes([0, 255])])
def test_a_palette_keeps_its_colours_and_loses_its_transparency(
    tmp_path: Path, transparency: int | bytes
) -> None:
    image = Image.new("P", (4, 3), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / "42.png", transparency=transparency)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert as_published(tmp_path / "42.png") == (10, 20, 30)


def test_transparency_is_dropped_as_the_papers_program_drops_it(tmp_path: Path) -> None:
    path = tmp_path / "42.png"
    Image.new("RGBA", (4, 3), (200, 100, 50, 0)).save(path)
    assert as_published(path) == (200, 100, 50)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_shown(tmp_path: Path, kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "lime")]
    path = tmp_path / "42"
    frames[0].save(path, format=kind, save_all=True, append_images=frames[1:])
    red, green, blue = as_published(path)
    assert red > 240
    assert max(green, blue) < 15


@pytest.mark.parametrize(("name", "kind"), [("42.jpg", "PNG"), ("42.png", "JPEG"), ("42", "WEBP")])
def test_the_content_decides_and_not_the_suffix(tmp_path: Path, name: str, kind: str) -> None:
    path = save(tmp_path, name, kind=kind)
    assert open_image(a_sample(path)).size == (4, 3)


def test_a_png_that_claims_to_be_huge_is_not_decoded(tmp_path: Path) -> None:
    path = save(tmp_path, "42.png")
    content = bytearray(path.read_bytes())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(bytes(content))
    with pytest.raises(ImageError) as caught:
        open_image(a_sample(path))
    assert caught.value.reason == "image-too-large"


def test_text_in_a_png_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "42.png"
    text = PngInfo()
    text.add_text("comment", "0" * 10**8, zip=True)
    Image.new("RGB", (4, 3)).save(path, pnginfo=text)
    assert path.stat().st_size < 10**6
    with pytest.raises(ImageError) as caught:
        open_image(a_sample(path))
    assert caught.value.reason == "unreadable-image"


def test_a_file_that_a_program_would_have_to_interpret_is_no_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "check_call", lambda *_: pytest.fail("ran a program"))
    path = tmp_path / "42.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 3\n%%EndComments\n")
    with pytest.raises(ImageError) as caught:
        open_image(a_sample(path))
    assert caught.value.reason == "unreadable-image"


def test_a_folder_in_place_of_an_image_is_a_missing_image(tmp_path: Path) -> None:
    (tmp_path / "42.jpg").mkdir()
    assert Folder(tmp_path).find("42") is None
    with pytest.raises(ImageError) as caught:
        open_image(a_sample(tmp_path / "42.jpg"))
    assert caught.value.reason == "missing-image"
