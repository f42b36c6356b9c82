from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import encoded
from numpy.typing import NDArray
from PIL import Image

from featx.digests import sha256
from featx.features import default_recipe
from featx.images import content_digest
from featx.previews import FACTS, SIDE, Previews, previews_of
from featx.previews import previews as module
from featx.store import Store, gc, info, verify

SPEC = default_recipe("efficientnetlite0")


def picture(height: int = 90, width: int = 140, seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def read(folder: Path, files: dict[str, bytes], cache: Path) -> Previews:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    paths = [folder / name for name in files]
    return previews_of(paths, [content_digest(data) for data in files.values()], SPEC, Store(cache))


def averaged(image: Image.Image) -> NDArray[Any]:
    return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX))


def test_a_preview_is_the_whole_image_averaged(tmp_path: Path) -> None:
    image = picture()
    previews = read(tmp_path, {"a.png": encoded(image, "PNG")}, tmp_path / "cache")
    assert previews.pixels.shape == (1, SIDE, SIDE, 3)
    np.testing.assert_array_equal(previews.pixels[0], averaged(image))
    assert previews.formats == ("PNG",)
    assert (previews.facts["width"][0], previews.facts["height"][0]) == (140, 90)
    assert previews.facts["bits"][0] == 8
    assert previews.facts["channels"][0] == 3
    assert np.isnan(previews.facts["luma_00"][0])


def test_a_large_jpeg_decoded_in_part_gives_the_same_preview_and_its_own_size(tmp_path: Path) -> None:
    image = picture(1000, 700)
    turned = Image.Exif()
    turned[0x0112] = 6
    files = {
        "a.jpg": encoded(image, "JPEG", quality=90),
        "b.jpg": encoded(image, "JPEG", quality=30, progressive=True, exif=turned.tobytes()),
    }
    previews = read(tmp_path, files, tmp_path / "cache")
    assert np.abs(previews.pixels[0].astype(int) - averaged(image)).max() <= 4
    assert np.abs(np.rot90(previews.pixels[1], 1).astype(int) - averaged(image)).max() <= 12
    assert previews.facts["width"].tolist() == [700, 1000]
    assert previews.facts["height"].tolist() == [1000, 700]
    assert previews.facts["has_exif"].tolist() == [0, 1]
    assert previews.facts["progressive"].tolist() == [0, 1]


@pytest.mark.parametrize(("width", "height"), [(1001, 1000), (1000, 1001)])
def test_a_nearly_square_jpeg_is_not_turned(width: int, height: int, tmp_path: Path) -> None:
    previews = read(tmp_path, {"a.jpg": encoded(picture(height, width), "JPEG")}, tmp_path / "cache")
    assert (previews.facts["width"][0], previews.facts["height"][0]) == (width, height)


def test_quantisation_tables_are_those_that_pillow_reads(tmp_path: Path) -> None:
    data = encoded(picture(), "JPEG", quality=75)
    previews = read(tmp_path, {"a.jpg": data}, tmp_path / "cache")
    with Image.open(tmp_path / "a.jpg") as image:
        tables = image.quantization  # type: ignore[attr-defined]
    # Pillow gives them in the order of the block; the file has them in zigzag order.
    for name, table in zip(("luma", "chroma"), tables.values(), strict=True):
        read_back = [previews.facts[f"{name}_{place:02d}"][0] for place in range(64)]
        assert sorted(read_back) == sorted(table)
        assert read_back[:2] == list(table)[:2]
        assert previews.facts[f"{name}_quantisation"][0] == pytest.approx(np.mean(table))
    assert previews.facts["subsampling"][0] == 4


def test_previews_are_kept_by_content_and_read_no_file_again(tmp_path: Path) -> None:
    data = {f"{k}.png": encoded(picture(seed=k), "PNG") for k in range(5)}
    first = read(tmp_path, data, tmp_path / "cache")
    for name in data:
        (tmp_path / name).unlink()
    again = previews_of(
        [tmp_path / name for name in data],
        [content_digest(one) for one in data.values()],
        SPEC,
        Store(tmp_path / "cache"),
    )
    np.testing.assert_array_equal(first.pixels, again.pixels)
    for name in FACTS:
        np.testing.assert_array_equal(first.facts[name], again.facts[name])
    assert again.there.all()


def test_the_networks_input_size_moves_no_preview(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(picture(), "PNG")
    read(tmp_path, {"a.png": data}, tmp_path / "cache")
    monkeypatch.setattr(module, "_row", lambda *_: pytest.fail("made again"))
    other = SPEC.model_copy(update={"images": SPEC.images.model_copy(update={"size": 96, "fit": "pad"})})
    assert previews_of([tmp_path / "a.png"], [content_digest(data)], other, Store(tmp_path / "cache")).there.all()


def test_files_that_are_gone_changed_or_damaged_have_no_preview(tmp_path: Path) -> None:
    good = encoded(picture(), "PNG")
    (tmp_path / "good.png").write_bytes(good)
    (tmp_path / "changed.png").write_bytes(encoded(picture(seed=1), "PNG"))
    (tmp_path / "damaged.png").write_bytes(good[:200])
    files = [tmp_path / name for name in ("gone.png", "changed.png", "damaged.png", "good.png")]
    digests = [sha256(b"gone"), sha256(b"other"), content_digest(good[:200]), content_digest(good)]
    previews = previews_of(files, digests, SPEC, Store(tmp_path / "cache"))
    assert previews.there.tolist() == [False, False, False, True]
    assert not previews.pixels[:3].any()
    assert np.isnan(previews.facts["width"][:3]).all()
    assert previews.take(np.array([3])).formats == ("PNG",)


def test_images_in_memory(tmp_path: Path) -> None:
    grey = np.asarray(picture().convert("L"))
    previews = previews_of([tmp_path], [sha256(b"memory")], SPEC, Store(tmp_path / "cache"), [grey])
    assert previews.formats == ("memory",)
    np.testing.assert_array_equal(previews.pixels[0], averaged(Image.fromarray(grey)))
    assert previews.facts["width"][0] == 140
    assert np.isnan(previews.facts["bytes"][0])


def test_the_caches_keeper_knows_previews(tmp_path: Path) -> None:
    read(tmp_path, {"a.png": encoded(picture(), "PNG")}, tmp_path / "cache")
    store = Store(tmp_path / "cache")
    assert [space.description["kind"] for space in info(store).spaces] == ["previews"]
    assert verify(store).damaged == []
    gc(store)
    assert [space.rows for space in info(store).spaces] == [1]
    assert info(store).rows == 0  # of features


def test_no_images(tmp_path: Path) -> None:
    previews = previews_of([], [], SPEC, Store(tmp_path / "cache"))
    assert len(previews) == 0
    assert previews.pixels.shape == (0, SIDE, SIDE, 3)
