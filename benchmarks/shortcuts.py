"""What the search for shortcuts finds where one was planted, and whether it is silent where there is none.

    python benchmarks/shortcuts.py [IMAGES ...] [--random 20] [--cache cache]

IMAGES are data with labels, such as a folder of classes. Each is examined as it is, with all files saved alike again
(JPEG, quality 90), and with shortcuts planted: its images get one of two classes at random, and the files of one
class are changed in one way. The same is done with generated phantoms. Random labels, without any change, are
examined `--random` times. Prints one line of JSON for each set and pair of classes, and at the end the number of
alarms at random labels.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance

from featx import write_phantoms
from featx.audits import AuditData, audit_data
from featx.audits.probes.shortcuts import Shortcuts, examine_shortcuts
from featx.runs import Source, read_source
from featx.store import Store

QUALITY = 90


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*")
    parser.add_argument("--random", type=int, default=20)
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    options = parser.parse_args()
    alarms = []
    with tempfile.TemporaryDirectory() as folder:
        phantoms = write_phantoms(Path(folder) / "phantoms", train=60, test=0, seed=1)
        for place in [str(phantoms), *options.images]:
            source = opened(place, options.cache)
            show("as it is", examined(source, options.cache))
            work = Path(folder) / Path(place).name
            for name, way in planted(source, work):
                show(name, examined(opened(str(way), options.cache), options.cache))
            alarms += [random_alarms(source, options.cache, seed) for seed in range(options.random)]
    print(json.dumps({"random": len(alarms), "with_alarm": int(np.sum(np.array(alarms) > 0))}))


def opened(place: str, cache: Path) -> Source:
    return read_source(place, layer="backbone", cache=cache, backbone="efficientnetlite0")


def examined(source: Source, cache: Path, seed: int = 0) -> tuple[AuditData, Shortcuts, float]:
    data = audit_data(source, Store(cache), seed)
    len(data.previews)  # its time is not that of the probes
    start = time.process_time()
    return data, examine_shortcuts(data), time.process_time() - start


def random_alarms(source: Source, cache: Path, seed: int) -> int:
    labels = np.random.default_rng(seed).permutation(len(source.table)) % 2
    table = replace(source.table, labels=tuple(f"class {label}" for label in labels.tolist()))
    return len(examined(replace(source, table=table), cache, seed)[1].alarms())


def show(name: str, result: tuple[AuditData, Shortcuts, float]) -> None:
    data, part, seconds = result
    for pair in part.pairs:
        line = {"data": data.source.name, "set": name, "pair": pair.name, "features": round(pair.features.auc, 2)}
        for one in pair.probes:
            low = one.area.interval[0]
            line[one.probe] = f"{one.area.auc:.2f} ({low:.2f}){'!' if one.alarm else '*' if one.clear else ''}"
        print(json.dumps({**line, "seconds": round(seconds / len(part.pairs), 2)}), flush=True)


def planted(source: Source, work: Path) -> Iterator[tuple[str, Path]]:
    """Yield names and folders of changed copies."""
    images = [Image.open(path).convert("RGB") for path in source.files]
    labels = [str(label) for label in source.table.labels]
    yield "saved alike", saved(images, labels, work / "alike", lambda image, path: save(image, path))
    halves = [("changed", "plain")[place] for place in np.random.default_rng(0).permutation(len(images)) % 2]
    for name, change in CHANGES.items():
        folder = work / name.replace(" ", "-")

        def write(image: Image.Image, path: Path, change: Change = change) -> None:
            changed = path.parent.name == "changed"
            change(image, path) if changed else save(image, path)

        yield name, saved(images, halves, folder, write)


Change = Callable[[Image.Image, Path], None]


def saved(images: list[Image.Image], labels: list[str], folder: Path, write: Change) -> Path:
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / label / f"{number:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(image, path)
    return folder


def save(image: Image.Image, path: Path, quality: int = QUALITY) -> None:
    image.save(path, quality=quality)


def tagged(image: Image.Image) -> Image.Image:
    """A white letter in a corner, a twentieth of the height."""
    copy = image.copy()
    side = copy.height // 20
    ImageDraw.Draw(copy).rectangle((side // 2, side // 2, 2 * side, 3 * side // 2), fill=(255, 255, 255))
    return copy


def resized(image: Image.Image) -> Image.Image:
    return image.resize((image.width * 8 // 7, image.height * 8 // 7), Image.Resampling.BICUBIC)


def of_another_aspect(image: Image.Image) -> Image.Image:
    return image.crop((0, image.height // 20, image.width, image.height))


def brighter(share: float) -> Change:
    return lambda image, path: save(ImageEnhance.Brightness(image).enhance(1 + share), path)


CHANGES: dict[str, Change] = {
    "random labels": lambda image, path: save(image, path),
    "JPEG quality 75": lambda image, path: save(image, path, 75),
    "JPEG quality 75 in two of three": lambda image, path: save(image, path, 75 if int(path.stem) % 3 else QUALITY),
    "PNG": lambda image, path: image.save(path.with_suffix(".png")),
    "larger by a seventh": lambda image, path: save(resized(image), path),
    "cut by a twentieth": lambda image, path: save(of_another_aspect(image), path),
    "tag in a corner": lambda image, path: save(tagged(image), path),
    "tag in two of three": lambda image, path: save(tagged(image) if int(path.stem) % 3 else image, path),
    "brighter by 8 %": brighter(0.08),
    "brighter by 20 %": brighter(0.2),
}


if __name__ == "__main__":
    main()
