"""The report's way compared with featx, from nothing to a trained head: seconds of each, in one run.

    python benchmarks/report_way.py DATA WEIGHTS [--recipe covid4-vgg16] [--epochs 100] [--report-epochs 3]
    python benchmarks/report_way.py DATA WEIGHTS --report-steps 44 [--epochs 100]

DATA has train/<class> and test/<class>; WEIGHTS is VGG16's `.weights.h5` without its classifier. The report's
way sends every image, augmented again each time, through the frozen network in every epoch. A few epochs are
timed, and the time for all epochs is their median times the number of epochs. featx is timed as whole processes
with an empty cache: once with one view of each image, once with the recipe's views. With `--report-steps`, only
some training and validation steps of the report's way are timed, and featx is not.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from featx.recipes import load_recipe

BATCH_SIZE = 10
VALIDATION = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--recipe", default="covid4-vgg16")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--report-epochs", type=int, default=3)
    parser.add_argument("--report-steps", type=int, default=0)
    options = parser.parse_args()
    if options.report_steps:
        time_steps(ReportWay(options.data, options.weights), options.report_steps, options.epochs)
        return
    views = load_recipe(options.recipe).views.count
    runs = {count: timed_fit(options, count) for count in (1, views)}
    epochs = ReportWay(options.data, options.weights).epochs(options.report_epochs)
    # The first epoch traces the graph.
    an_epoch = statistics.median(epochs[1:] or epochs)
    whole = an_epoch * options.epochs
    print(f"the report's way: {an_epoch:.1f} s an epoch, {whole:,.0f} s for {options.epochs}")
    for count, run in runs.items():
        seconds, test = run["process_seconds"], run["test"]
        print(
            f"featx, {count} view{'s' * (count > 1)}: {seconds:.1f} s for {options.epochs} epochs "
            f"(features {run['seconds']['extract']:.1f}, fit {run['seconds']['fit']:.1f}), "
            f"{whole / seconds:.1f} times as fast; test {test['correct']}/{test['n']}"
        )


def time_steps(way: ReportWay, steps: int, epochs: int) -> None:
    """Print the median seconds of some steps, and the time that all epochs would take."""
    train, held_out = way.steps(steps)
    whole = epochs * (way.train_steps * train + way.held_out_steps * held_out)
    print(
        f"the report's way, medians of {steps} steps: {train:.2f} s a training step of {BATCH_SIZE} images, "
        f"{held_out:.2f} s a validation step; {whole:,.0f} s for {epochs} epochs of {way.train_steps} and "
        f"{way.held_out_steps} steps"
    )


def timed_fit(options: argparse.Namespace, views: int) -> dict[str, Any]:
    """Run `featx fit-head` with an empty cache; return its JSON and the seconds of the whole process."""
    folder = Path(tempfile.mkdtemp())
    try:
        command = [sys.executable, "-c", "from featx.cli import main; main()", "fit-head", str(options.data)]
        command += ["--recipe", options.recipe, "--weights", str(options.weights), "--views", str(views), "--json"]
        command += ["--epochs", str(options.epochs), "--out", str(folder / "run"), "--cache", str(folder / "cache")]
        start = time.perf_counter()
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        run = {"process_seconds": time.perf_counter() - start, **json.loads(output)}
        print(json.dumps({"views": views, **run}), flush=True)
        return run
    finally:
        shutil.rmtree(folder)


class ReportWay:
    """The report's data, augmented in every step, and its whole network."""

    def __init__(self, data: Path, weights: Path) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        from tensorflow import keras
        from tensorflow.keras.preprocessing.image import ImageDataGenerator

        images = ImageDataGenerator(
            rescale=1 / 255,
            rotation_range=50,
            width_shift_range=0.2,
            height_shift_range=0.2,
            zoom_range=0.1,
            channel_shift_range=20,
            horizontal_flip=True,
            vertical_flip=True,
            fill_mode="constant",
            validation_split=VALIDATION,
        )
        self.train, self.held_out = (
            images.flow_from_directory(data / "train", (224, 224), batch_size=BATCH_SIZE, seed=0, subset=subset)
            for subset in ("training", "validation")
        )
        backbone = keras.applications.VGG16(include_top=False, weights=str(weights), input_shape=(224, 224, 3))
        backbone.trainable = False
        head = [keras.layers.Flatten(), keras.layers.Dropout(0.4), keras.layers.Dense(2048, "relu")]
        head += [
            keras.layers.Dropout(0.3),
            keras.layers.Dense(256),
            keras.layers.Dense(self.train.num_classes, "softmax"),
        ]
        self.model = keras.Sequential([backbone, *head])
        self.model.compile("adam", loss="categorical_crossentropy", metrics=["accuracy"])
        # The report drops the last batch, which is not full.
        self.train_steps, self.held_out_steps = self.train.n // BATCH_SIZE, self.held_out.n // BATCH_SIZE

    def epochs(self, number: int) -> list[float]:
        """Train for a few epochs; return the seconds of each."""
        seconds = []
        for _ in range(number):
            start = time.perf_counter()
            self.model.fit(
                self.train,
                steps_per_epoch=self.train_steps,
                validation_data=self.held_out,
                validation_steps=self.held_out_steps,
                verbose=0,
            )
            seconds.append(time.perf_counter() - start)
            print(json.dumps({"report_way_epoch_seconds": round(seconds[-1], 2)}), flush=True)
        return seconds

    def steps(self, number: int) -> tuple[float, float]:
        """Do some training and validation steps; return the median seconds of each kind."""
        train, held_out = [], []
        for step in range(number + 1):
            start = time.perf_counter()
            self.model.train_on_batch(*self.train[step % self.train_steps])
            middle = time.perf_counter()
            self.model.test_on_batch(*self.held_out[step % self.held_out_steps])
            train.append(middle - start)
            held_out.append(time.perf_counter() - middle)
        # The first step traces the graph.
        return statistics.median(train[1:]), statistics.median(held_out[1:])


if __name__ == "__main__":
    main()
