"""What typicality finds: false alarms on held-out images, and images of other kinds that are called outside.

    python benchmarks/novelty.py DATA [--cache cache] [--apart CLASS]

DATA has train/<class>/* and test/<class>/*, one image for each patient, such as radiographs of chests. Images of
other kinds are drawn (white, black, noise, text, phantoms), or taken from scikit-learn, Matplotlib and pydicom-data
where these are installed; test images are turned, blurred and so on. With --apart CLASS, images of one class are also
compared with the training images of the others. Prints the share outside for the cosine distance, the
Mahalanobis distance, and the larger of both, which featx uses, and the largest relative distances.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from featx.novelty import Reference, make_reference
from featx.phantoms import write_phantoms
from featx.runs import Source, read_source

SIZE = 224
BUNDLED = {
    "sklearn.datasets": ["images/china.jpg", "images/flower.jpg"],
    "matplotlib": ["mpl-data/sample_data/grace_hopper.jpg", "mpl-data/sample_data/logo2.png"],
    "data_store": [f"data/{name}.dcm" for name in ("RG3_UNCR", "US1_UNCR", "MR2_UNCR", "OT-PAL-8-face", "color-pl")],
}
CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "turned by 90°": lambda image: image.rotate(90),
    "upside down": lambda image: image.rotate(180),
    "inverted": lambda image: image.point(lambda value: 255 - value),
    "darker": lambda image: image.point(lambda value: 0.3 * value),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(SIZE / 37)),
    "with noise": lambda image: noisy(image),
}
COLUMNS = {"cosine": (0,), "Mahalanobis": (1,), "the larger": (0, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--apart", metavar="CLASS")
    parser.add_argument("--cache", default="cache")
    options = parser.parse_args()
    source = read_source(options.data, cache=options.cache)
    splits, X = np.asarray(source.table.splits), source.table.X
    train, test = X[splits != "test"], X[splits == "test"]
    with tempfile.TemporaryDirectory() as folder:
        others = dict(images_of_other_kinds(Path(folder), source, options.cache))
    begun = time.perf_counter()
    reference = make_reference(train)
    print(f"reference of {len(train)} images in {time.perf_counter() - begun:.2f} s")
    print(f"{'outside':28s}", *(f"{name:>12s}" for name in COLUMNS), "   relative distance")
    shares = [held_out(train, columns) for columns in COLUMNS.values()]
    print(f"{'held-out training images':28s}", *(f"{share:12.1%}" for share in shares))
    for name, rows in {"test images": test, **others}.items():
        show(name, reference, rows)
    if options.apart:
        apart = np.asarray(source.table.labels) == options.apart
        show(f"{options.apart} from the others", make_reference(X[(splits != "test") & ~apart]), X[apart])


def show(name: str, reference: Reference, rows: NDArray[np.float32]) -> None:
    """Print the share outside by each distance, and the range of relative distances."""
    outside = [np.mean(typicality(reference, rows, columns) < 1) for columns in COLUMNS.values()]
    far = reference.relative_distance(reference.distances_of(rows))
    shares = " ".join(f"{share:12.0%}" for share in outside)
    print(f"{name:28s} {shares} {far.min():8.2f} to {far.max():.2f}, n = {len(far)}")


def typicality(reference: Reference, rows: NDArray[np.float32], columns: tuple[int, ...]) -> NDArray[np.float64]:
    """The typicality by some of the two distances."""
    own, held = reference.distances_of(rows)[:, columns], reference.distances[:, columns]
    middle, far = np.quantile(held, [0.5, 0.99], axis=0)
    values, limits = (((one - middle) / (far - middle)).max(axis=1) for one in (own, held))
    return np.asarray(100 * (limits[None] >= values[:, None]).mean(axis=1))


def held_out(train: NDArray[np.float32], columns: tuple[int, ...], repeats: int = 8) -> float:
    """The share of a fifth of the training images that is outside what the others span."""
    shares = []
    for seed in range(repeats):
        order = np.random.default_rng(seed).permutation(len(train))
        fifth = len(train) // 5
        reference = make_reference(train[order[fifth:]])
        shares.append(np.mean(typicality(reference, train[order[:fifth]], columns) < 1))
    return float(np.mean(shares))


def images_of_other_kinds(folder: Path, source: Source, cache: str) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield kinds of images and their rows."""
    for number, image in enumerate(drawn()):
        image.save(made(folder / "other") / f"{number:02d}.png")
    for package, names in BUNDLED.items():
        for name in names if find_spec(package.partition(".")[0]) else []:
            path = files(package).joinpath(name)
            if path.is_file():
                (folder / "other" / Path(name).name).write_bytes(path.read_bytes())
    write_phantoms(folder / "phantoms", train=5, test=0, seed=0)
    tests = [file for file, split in zip(source.files, source.table.splits, strict=True) if split == "test"]
    for name, change in CHANGES.items():
        for file in tests:
            with Image.open(file) as image:
                change(image.convert("RGB")).save(made(folder / name) / f"{file.stem}.png")
    for name in ("other", "phantoms", *CHANGES):
        yield name, read_source(folder / name, cache=cache, on_error="skip").table.X


def drawn() -> Iterator[Image.Image]:
    """Yield images that show nothing."""
    generator = np.random.default_rng(0)
    for value in (0, 128, 255):
        yield Image.new("L", (SIZE, SIZE), value)
    yield Image.fromarray(generator.integers(0, 256, (SIZE, SIZE, 3), np.uint8))
    yield Image.fromarray(generator.integers(0, 256, (SIZE, SIZE), np.uint8))
    yield Image.fromarray(generator.normal(128, 30, (SIZE, SIZE)).clip(0, 255).astype(np.uint8))
    yield Image.fromarray(np.tile(np.linspace(0, 255, SIZE).astype(np.uint8), (SIZE, 1)))
    text = Image.new("L", (SIZE, SIZE), 255)
    for line in range(10, SIZE, 16):
        ImageDraw.Draw(text).text((10, line), "The quick brown fox jumps over it", fill=0)
    yield text


def noisy(image: Image.Image) -> Image.Image:
    noise = np.random.default_rng(0).normal(0, 50, (image.height, image.width, 1))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


if __name__ == "__main__":
    main()
