"""Make the pictures of gallery.md by running the commands that it shows.

    FEATX_WEIGHTS_DIR=... python docs/gallery.py [--backbone mobilenetv2] [--keep FOLDER]

The images are phantoms, half of them as if from a second scanner. Screenshots need Chromium.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageFilter

import featx

HERE = Path(__file__).resolve().parent
PAGE = HERE / "gallery.md"
PICTURES = HERE / "images" / "gallery"
RECIPE = "gallery.toml"
# For each picture, the file of a command that it is made from; for a page, by a screenshot.
SOURCES = {
    "curves.png": "run/curves.png",
    "confusion.png": "run/confusion.png",
    "placed.png": "run/tsne-penultimate-train-added.png",
    "interactive.png": "run/tsne-penultimate-train-added.html",
    "tsne.png": "run/tsne-backbone-train.png",
    "umap.png": "run/umap-backbone-train.png",
    "pca.png": "run/pca-backbone-train.png",
    "tsne-2020.png": "run/tsne2020-backbone-train.png",
    "by-scanner.png": "run/tsne-backbone-train-by-scanner.png",
    "comparison.png": "comparison/comparison.png",
    "confusions.png": "comparison/confusion.png",
    "roc.png": "comparison/roc.png",
    "calibration.png": "comparison/calibration.png",
    "silhouette.png": "clusters/silhouette.png",
    "pairs.png": "clusters/pairs.png",
    "sweep.png": "sweep/sweep.png",
    "report.png": "run/report.html",
}
# Standard deviation, in pixels, of the blur of scanner B.
SOFTNESS = 0.8
WIDTH = 800
MOST_BYTES = 60_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WINDOW = "1280,900"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="mobilenetv2")
    parser.add_argument("--keep", type=Path, help="work in this folder and keep it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        write_images(folder)
        (folder / RECIPE).write_text(recipe_text().replace("mobilenetv2", options.backbone), "utf-8")
        for command in commands():
            run(command, folder)
        for name, source in SOURCES.items():
            write_picture(folder / source, PICTURES / name)


def write_images(folder: Path) -> None:
    """Write phantoms and a manifest; every second image is softer and darker, as if from scanner B."""
    featx.write_phantoms(folder / "xrays", train=40, test=12, seed=0)
    rows = []
    for number, path in enumerate(sorted((folder / "xrays").rglob("*.png"))):
        scanner = "AB"[number % 2]
        if scanner == "B":
            with Image.open(path) as image:
                soft = image.filter(ImageFilter.GaussianBlur(SOFTNESS))
            changed = soft.point([round(220 * (grey / 255) ** 1.2) for grey in range(256)])
            changed.save(path)
        rows.append([path.relative_to(folder).as_posix(), path.parent.name, path.parts[-3], scanner])
    with (folder / "xrays.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["path", "label", "split", "scanner"], *rows])


def recipe_text() -> str:
    """Return the recipe that the page shows."""
    block = re.search(r"^```toml\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    if block is None:
        raise SystemExit(f"Expected a recipe in {PAGE}, found none.")
    return block[1]


def commands() -> list[str]:
    """Return the commands on the page, in their order."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("featx ")]


def run(command: str, folder: Path) -> None:
    """Run a command of the featx that is installed in this Python."""
    print(command, flush=True)
    program = shutil.which("featx", path=str(Path(sys.executable).parent))
    if program is None:
        raise SystemExit("Expected featx to be installed in this Python, but found none; install it there.")
    subprocess.run([program, *shlex.split(command)[1:]], cwd=folder, check=True)


def write_picture(source: Path, target: Path) -> None:
    """Write a picture, or a screenshot of a page, with at most 800 pixels in width and 60 kB."""
    if source.suffix == ".html":
        source = screenshot(source)
    with Image.open(source) as opened:
        picture = Image.new("RGB", opened.size, "white")
        picture.paste(opened, mask=opened.getchannel("A") if opened.mode == "RGBA" else None)
    if picture.width > WIDTH:
        picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
    for colours in (128, 64, 32, 16):
        small = io.BytesIO()
        reduced = picture.quantize(colours, dither=Image.Dither.NONE)
        reduced.save(small, "PNG", optimize=True)
        if small.tell() <= MOST_BYTES:
            break
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(small.getvalue())
    print(f"{target.name}: {picture.width} × {picture.height}, {small.tell() / 1000:.0f} kB, {colours} colours")


def screenshot(page: Path) -> Path:
    """Return a screenshot of a page in a window of 1280 × 900 pixels."""
    browser = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if browser is None:
        raise SystemExit(f"Expected a browser to make screenshots with, such as {BROWSERS[0]}, found none.")
    picture = page.with_suffix(".screenshot.png")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with tempfile.TemporaryDirectory() as profile:
        options = [f"--user-data-dir={profile}", f"--window-size={WINDOW}", "--virtual-time-budget=20000"]
        subprocess.run(
            [browser, *flags, *options, f"--screenshot={picture}", page.as_uri()], check=True, capture_output=True
        )
    return picture


if __name__ == "__main__":
    main()
