from __future__ import annotations

import multiprocessing
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from faults import read_only
from PIL import Image

from mmflow_bench.errors import ImageError, QuestionError
from mmflow_bench.inputs import hub_images, image_sources
from mmflow_bench.inputs.hub_images import HubImages
from mmflow_bench.inputs.image_sources import Archive, Folder, ZipImage, image_source
from mmflow_bench.inputs.images import open_image
from mmflow_bench.inputs.samples import ImageFile, Sample, sample_fingerprint


def a_sample(image: ImageFile | None, image_id: str = "42") -> Sample:
    return Sample(
        question_id="007", image_id=image_id, task="own", question="?", answer="a", image=image
    )


def encoded(folder: Path, colour: str) -> bytes:
    path = folder / "pixels.png"
    Image.new("RGB", (4, 3), colour).save(path)
    return path.read_bytes()


def colour_of(sample: Sample) -> tuple[int, int, int]:
    return open_image(sample).getpixel((0, 0))  # type: ignore[return-value]


@pytest.fixture
def red(tmp_path: Path) -> bytes:
    return encoded(tmp_path, "red")


def zipped(folder: Path, **members: bytes) -> Path:
    """A zip file; `__` in a name stands for `/`."""
    path = folder / "images.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name.replace("__", "/"), content)
    return path


def test_an_image_is_found_in_a_zip_file_at_any_depth(tmp_path: Path, red: bytes) -> None:
    source = Archive.open(zipped(tmp_path, **{"gqa__images__42.jpg": red, "43": red}))
    assert source.find("42") == ZipImage(tmp_path / "images.zip", "gqa/images/42.jpg")
    assert source.find("43") is not None
    assert source.find("images/42") == source.find("42")
    assert source.find("other/42") is None
    assert source.find("44") is None
    assert source.find("") is None
    assert source.at("gqa/images/42.jpg") == source.find("42")
    assert source.at("42.jpg") is None
    assert colour_of(a_sample(source.find("42"))) == (255, 0, 0)


def test_a_zip_file_is_read_where_it_is(tmp_path: Path, red: bytes) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    names = {"..__outside.jpg": red, "__etc__passwd.jpg": red, "42.jpg": red}
    source = image_source(zipped(folder, **names), cache=tmp_path / "cache")
    for image_id in ("outside", "passwd", "42", "../outside"):
        found = source.find(image_id)
        assert found is not None
        assert colour_of(a_sample(found)) == (255, 0, 0)
    assert [path.name for path in folder.iterdir()] == ["images.zip"]
    assert not (tmp_path / "outside.jpg").exists()


def test_hidden_twins_are_not_images(tmp_path: Path, red: bytes) -> None:
    names = {"__MACOSX__images__._42.jpg": b"AppleDouble", "images__42.jpg": red}
    found = Archive.open(zipped(tmp_path, **names)).find("42")
    assert found is not None
    assert colour_of(a_sample(found)) == (255, 0, 0)


def test_two_images_of_one_name_are_refused_unless_they_are_the_same(
    tmp_path: Path, red: bytes
) -> None:
    same = Archive.open(zipped(tmp_path, **{"a__42.jpg": red, "b__42.jpg": red}))
    assert same.find("42") is not None
    blue = encoded(tmp_path, "blue")
    other = Archive.open(zipped(tmp_path, **{"a__42.jpg": red, "b__42.jpg": blue}))
    with pytest.raises(ImageError, match=r"a/42\.jpg, b/42\.jpg") as caught:
        other.find("42")
    assert caught.value.reason == "ambiguous-image"
    assert colour_of(a_sample(other.find("b/42"))) == (0, 0, 255)


def test_the_fingerprint_of_a_sample_is_the_same_in_a_folder_and_in_a_zip_file(
    tmp_path: Path, red: bytes
) -> None:
    (tmp_path / "42.jpg").write_bytes(red)
    found = Archive.open(zipped(tmp_path, **{"deep__42.jpg": red})).find("42")
    in_folder = Folder(tmp_path).find("42")
    assert sample_fingerprint(a_sample(found)) == sample_fingerprint(a_sample(in_folder))
    blue = Archive.open(zipped(tmp_path, **{"deep__42.jpg": encoded(tmp_path, "blue")})).find("42")
    assert sample_fingerprint(a_sample(blue)) != sample_fingerprint(a_sample(in_folder))


def _colour_in_process(content: bytes) -> tuple[int, int, int]:
    return colour_of(pickle.loads(content))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_members_are_read_in_other_processes(tmp_path: Path, method: str) -> None:
    colours = ["red", "blue", "lime", "black"]
    names = {f"{index}.png": encoded(tmp_path, name) for index, name in enumerate(colours)}
    source = Archive.open(zipped(tmp_path, **names))
    samples = [a_sample(source.find(str(index % 4))) for index in range(12)]
    expected = [colour_of(sample) for sample in samples]
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(_colour_in_process, map(pickle.dumps, samples)) == expected


def test_a_member_that_would_unpack_to_more_than_a_photo_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Archive.open(zipped(tmp_path, **{"42.jpg": bytes(10**6)})).find("42")
    monkeypatch.setattr(image_sources, "LARGEST_IMAGE", 10**5)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(ImageError, match="1000000 bytes") as caught:
        open_image(a_sample(found))
    assert caught.value.reason == "unreadable-image"


def test_a_member_that_understates_its_size_is_unreadable(tmp_path: Path, red: bytes) -> None:
    path = zipped(tmp_path, **{"42.jpg": red * 100})
    content = bytearray(path.read_bytes())
    central = content.rindex(b"PK\x01\x02")
    struct.pack_into("<I", content, central + 24, 10)
    path.write_bytes(bytes(content))
    with pytest.raises(ImageError) as caught:
        open_image(a_sample(Archive.open(path).find("42")))
    assert caught.value.reason == "unreadable-image"


def test_a_damaged_member_spoils_no_other(tmp_path: Path, red: bytes) -> None:
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        file.writestr("41.png", red)
        file.writestr("42.png", red)
    content = bytearray(path.read_bytes())
    content[content.index(b"41.png") + 6 + len(red) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    source = Archive.open(path)
    with pytest.raises(ImageError) as caught:
        open_image(a_sample(source.find("41")))
    assert caught.value.reason == "unreadable-image"
    assert colour_of(a_sample(source.find("42"))) == (255, 0, 0)


def test_an_encrypted_member_is_unreadable(tmp_path: Path, red: bytes) -> None:
    path = zipped(tmp_path, **{"42.jpg": red})
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ImageError, match="encrypted"):
        open_image(a_sample(Archive.open(path).find("42")))


def test_an_archive_that_has_gone_is_a_missing_image(tmp_path: Path, red: bytes) -> None:
    path = zipped(tmp_path, **{"42.jpg": red})
    found = Archive.open(path).find("42")
    path.unlink()
    with pytest.raises(ImageError) as caught:
        open_image(a_sample(found))
    assert caught.value.reason == "missing-image"


@pytest.mark.parametrize("content", [b"", b"no zip file", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_zip_file_is_refused_as_a_whole(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "images.zip"
    path.write_bytes(content)
    with pytest.raises(QuestionError, match=r"images\.zip") as caught:
        image_source(path, cache=tmp_path)
    assert caught.value.reason == "no-images"


@pytest.mark.parametrize("image_id", ["a\0b", "x" * 5000, "../secret", "", "."])
def test_an_id_that_is_no_file_name_is_not_found(tmp_path: Path, image_id: str) -> None:
    assert Folder(tmp_path).find(image_id) is None
    assert HubImages.parse("hub", cache=tmp_path, offline=True).find("a/../b") is None


@pytest.fixture
def data_set(tmp_path: Path, red: bytes) -> Path:
    """A folder that `datasets` reads: two splits with ids and images, as GQA's has them."""
    from datasets import Dataset, Features, Value
    from datasets import Image as ImageFeature

    folder = tmp_path / "gqa"
    folder.mkdir()
    features = Features({"id": Value("string"), "image": ImageFeature()})
    blue = encoded(tmp_path, "blue")
    for split, rows in {
        "train": [("41", red), ("42", red)],
        "validation": [("43", blue), ("44", red)],
    }.items():
        given = [{"id": name, "image": {"bytes": content}} for name, content in rows]
        Dataset.from_list(given, features=features).to_parquet(folder / f"{split}.parquet")
    return folder


def hub(data_set: Path, tmp_path: Path, *, offline: bool = False) -> HubImages:
    source = image_source(f"hub:{data_set}", cache=tmp_path / "cache", offline=offline)
    assert isinstance(source, HubImages)
    return source


def test_images_of_a_data_set_are_fetched_once_and_kept_under_their_ids(
    data_set: Path, tmp_path: Path, red: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = hub(data_set, tmp_path)
    source.prepare({"42", "43", "99", "../evil"})
    kept = sorted(path.name for path in source.folder.glob("*.jpg"))
    assert kept == ["42.jpg", "43.jpg"]
    assert source.find("42").read_bytes() == red  # type: ignore[union-attr]
    assert colour_of(a_sample(source.find("43"))) == (0, 0, 255)
    with pytest.raises(ImageError) as caught:
        open_image(a_sample(source.find("99"), "99"))
    assert caught.value.reason == "missing-image"
    monkeypatch.setattr(hub_images, "_streamed", lambda *_: pytest.fail("asked again"))
    source.prepare({"42", "43"})


def test_streaming_stops_when_nothing_is_missing(
    data_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    streamed = hub_images._streamed

    def watched(*arguments: object) -> object:
        for image_id, content in streamed(*arguments):  # type: ignore[arg-type]
            seen.append(image_id)
            yield image_id, content

    monkeypatch.setattr(hub_images, "_streamed", watched)
    hub(data_set, tmp_path).prepare({"41"})
    assert seen == ["41"]


def test_a_folder_of_image_files_serves_as_a_data_set_too(tmp_path: Path, red: bytes) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "42.png").write_bytes(red)
    source = hub(folder, tmp_path)
    source.prepare({"42"})
    assert colour_of(a_sample(source.find("42"))) == (255, 0, 0)


def test_nothing_is_fetched_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_images, "_streamed", lambda *_: pytest.fail("asked the hub"))
    source = HubImages.parse("hub", cache=tmp_path, offline=True)
    source.prepare({"42"})
    assert not list(tmp_path.iterdir())


def test_a_folder_that_no_image_can_be_kept_in_is_one_clear_error(
    data_set: Path, tmp_path: Path
) -> None:
    source = hub(data_set, tmp_path)
    source.prepare({"42"})
    with read_only():
        source.prepare({"42"})
        with pytest.raises(QuestionError, match=r"a folder that images can be kept in.*Read-only"):
            source.prepare({"41"})


def test_a_data_set_without_ids_or_that_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "train.parquet").write_bytes(b"no parquet")
    with pytest.raises(QuestionError, match="broken") as caught:
        hub(folder, tmp_path).prepare({"42"})
    assert caught.value.reason == "no-images"


@pytest.mark.parametrize(
    ("text", "data_set", "configurations"),
    [
        ("hub", "lmms-lab/GQA", ("val_balanced_images", "val_all_images")),
        ("hub:lmms-lab/GQA", "lmms-lab/GQA", ("val_balanced_images", "val_all_images")),
        ("hub:lmms-lab/GQA:val_all_images", "lmms-lab/GQA", ("val_all_images",)),
        ("hub:me/mine", "me/mine", ()),
        ("hub:me/mine:a,b", "me/mine", ("a", "b")),
    ],
)
def test_the_hub_is_named_by_data_set_and_configuration(
    tmp_path: Path, text: str, data_set: str, configurations: tuple[str, ...]
) -> None:
    source = HubImages.parse(text, cache=tmp_path, offline=True)
    assert (source.data_set, source.configurations) == (data_set, configurations)
    assert source.folder.parent == tmp_path / "images"


@pytest.mark.parametrize("text", ["hub:", "hub:a/b:c:d", "nowhere"])
def test_a_source_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(QuestionError) as caught:
        image_source(text, cache=tmp_path)
    assert caught.value.reason == "no-images"


def test_a_folder_of_the_name_hub_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hub").mkdir()
    monkeypatch.chdir(tmp_path)
    assert isinstance(image_source(Path("hub"), cache=tmp_path), Folder)


def test_pixels_of_a_zip_member_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "noise.jpg"
    Image.effect_noise((64, 48), 90).convert("RGB").save(path, quality=70)
    found = Archive.open(zipped(tmp_path, **{"noise.jpg": path.read_bytes()})).find("noise")
    np.testing.assert_array_equal(open_image(a_sample(found)), open_image(a_sample(path)))
