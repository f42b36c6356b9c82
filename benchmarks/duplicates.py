"""How many planted copies of images are found, by kind of change, and what else is taken for a copy.

    python benchmarks/duplicates.py IMAGES... [--backbone efficientnetlite0] [--pooling avg] [--copies 60] [--seed 0]
        [--cache cache] [--imagehash]

Each folder of IMAGES is a data set without copies. Altered copies of some of its images are added, of one kind of
change at a time, and all copies are looked for: as `featx audit` does (every pair), and as `featx fit-head` does
(pairs of a copy and another image). False finds are pairs of two different images. With --imagehash (which needs that
package) the perceptual hash `phash` decides alone, on the image and its mirror, at a distance of up to 10
of 64 bits.
"""

from __future__ import annotations

import argparse
import importlib
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from featx.duplicates import Copies, find_copies, projected
from featx.features import FeatureExtractor
from featx.previews import SIDE, Previews

ENDINGS = {".png", ".jpg", ".jpeg"}
BITS = 10  # of 64, the usual limit for perceptual hashes
Change = Callable[[Image.Image, np.random.Generator], Image.Image]
Found = set[tuple[int, int]]


def saved(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def cropped(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    width, height = image.size
    w, h = round(width * (1 - share)), round(height * (1 - share))
    x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
    return image.crop((x, y, x + w, y + h)).resize((width, height), Image.Resampling.BICUBIC)


def brighter(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(factor)


def smaller(image: Image.Image, times: int) -> Image.Image:
    return image.resize((image.width // times, image.height // times), Image.Resampling.LANCZOS)


def tagged(image: Image.Image) -> Image.Image:
    marked = image.copy()
    marked.paste((255, 255, 255), (image.width * 7 // 8, 2, image.width - 4, image.height // 16))
    return marked


CHANGES: dict[str, Change] = {
    "encoded anew (PNG)": lambda image, _: image,
    "JPEG, quality 75": lambda image, _: saved(image, 75),
    "JPEG, quality 30": lambda image, _: saved(image, 30),
    "half the size": lambda image, _: smaller(image, 2),
    "a quarter of the size": lambda image, _: smaller(image, 4),
    "mirrored": lambda image, _: ImageOps.mirror(image),
    "upside down": lambda image, _: ImageOps.flip(image),
    "turned by 90 degrees": lambda image, _: image.transpose(Image.Transpose.ROTATE_90),
    "cropped by 2 %": lambda image, rng: cropped(image, 0.02, rng),
    "cropped by 4 %": lambda image, rng: cropped(image, 0.04, rng),
    "cropped by 8 %": lambda image, rng: cropped(image, 0.08, rng),
    "cropped by 15 %": lambda image, rng: cropped(image, 0.15, rng),
    "brighter by 10 %": lambda image, _: brighter(image, 1.1),
    "brighter by 25 %": lambda image, _: brighter(image, 1.25),
    "darker by 20 %": lambda image, _: brighter(image, 0.8),
    "contrast of 1.3": lambda image, _: ImageEnhance.Contrast(image).enhance(1.3),
    "gamma of 0.7": lambda image, _: image.point([round(255 * (v / 255) ** 0.7) for v in range(256)] * 3),
    "grey": lambda image, _: image.convert("L").convert("RGB"),
    "a negative": lambda image, _: ImageOps.invert(image),
    "a marker in a corner": lambda image, _: tagged(image),
    "turned by 2 degrees": lambda image, _: image.rotate(2, Image.Resampling.BICUBIC),
    "a border of 3 %": lambda image, _: ImageOps.expand(image, round(0.03 * image.width)),
    "cropped 4 %, mirrored, brighter, JPEG 60": lambda image, rng: saved(
        brighter(ImageOps.mirror(cropped(image, 0.04, rng)), 1.1), 60
    ),
}


def read(folder: Path) -> list[Image.Image]:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    images = [Image.open(path).convert("RGB") for path in files]
    return [image for image in images if np.asarray(image.convert("L")).std() > 8]


def previews_of(images: list[Image.Image]) -> Previews:
    small = np.stack([np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX)) for image in images])
    return Previews(small, {}, ("",) * len(images), np.ones(len(images), bool))


def pairs_of(copies: Copies) -> Found:
    return {(pair.a, pair.b) for pair in copies.pairs}


def searches(images: list[Image.Image], rows: NDArray[np.float32], n: int) -> Iterator[tuple[str, Found]]:
    """What `audit` and `fit-head` find among n images and their copies."""
    digests, previews = [str(number) for number in range(len(images))], previews_of(images)
    yield "audit", pairs_of(find_copies(rows, digests, previews.take))
    between = np.arange(n, len(images)), np.arange(n)
    yield "fit-head", pairs_of(find_copies(rows, digests, previews.take, between=between))


def by_hash(images: list[Image.Image]) -> Found:
    imagehash = importlib.import_module("imagehash")
    hashes = np.stack([imagehash.phash(image).hash.ravel() for image in images])
    mirrors = np.stack([imagehash.phash(ImageOps.mirror(image)).hash.ravel() for image in images])
    distance = np.minimum(
        (hashes[:, None] != hashes[None]).sum(axis=2), (hashes[:, None] != mirrors[None]).sum(axis=2)
    )
    a, b = np.nonzero(np.triu(np.minimum(distance, distance.T) <= BITS, 1))
    return set(zip(a.tolist(), b.tolist(), strict=True))


def measure(folder: Path, options: argparse.Namespace) -> None:
    originals = read(folder)
    n, rng = len(originals), np.random.default_rng(options.seed)
    chosen = rng.choice(n, min(options.copies, n), replace=False).tolist()
    changed = {name: [change(originals[k], rng) for k in chosen] for name, change in CHANGES.items()}
    everything = [*originals, *(image for part in changed.values() for image in part)]
    choice: dict[str, Any] = {"backbone": options.backbone, "pooling": options.pooling, "cache": options.cache}
    X = FeatureExtractor(**choice).fit_transform([np.asarray(image) for image in everything])
    rows = projected([X], X.shape[1])
    print(f"{folder.name}: {n} images, {len(chosen)} copies of each kind, {options.backbone}")
    false: dict[str, Found] = {}
    seconds = 0.0
    for number, (name, copies) in enumerate(changed.items()):
        start = n + number * len(chosen)
        images = [*originals, *copies]
        at = np.concatenate([np.arange(n), np.arange(start, start + len(chosen))])
        planted = {(original, n + place) for place, original in enumerate(chosen)}
        started = time.process_time()
        results = dict(searches(images, rows[at], n))
        seconds += time.process_time() - started
        if options.imagehash:
            results["phash"] = by_hash(images)
        for way, found in results.items():
            original = [*range(n), *chosen]
            others = {tuple(sorted((original[a], original[b]))) for a, b in found - planted}
            false.setdefault(way, set()).update((a, b) for a, b in others if a != b)
        shares = "  ".join(f"{way} {len(found & planted) / len(planted):5.0%}" for way, found in results.items())
        print(f"  {name:42} {shares}", flush=True)
    print("  false finds:", ", ".join(f"{way} {len(found)}" for way, found in false.items()))
    print(f"  {seconds:.1f} s of processor time for {2 * len(changed)} searches")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--backbone", default="efficientnetlite0")
    parser.add_argument("--pooling", default="avg")
    parser.add_argument("--copies", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", default="cache")
    parser.add_argument("--imagehash", action="store_true")
    options = parser.parse_args()
    for folder in options.images:
        measure(folder, options)


if __name__ == "__main__":
    main()
