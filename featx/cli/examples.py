"""The examples that end the help of each command."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "extract": (
        "featx extract photos",
        "featx extract photos.csv --backbone vgg16 --export features.parquet",
        "featx extract photos --recipe covid4-vgg16 --views 4",
    ),
    "fit-head": (
        "featx fit-head photos --out run",
        "featx fit-head photos --test 0.2 --head mlp --out run",
        "featx fit-head photos --recipe covid4-vgg16 --epochs 30 --out run",
    ),
    "predict": (
        "featx predict run photo.jpg",
        "featx predict run new-photos --out predictions.csv",
    ),
    "evaluate": (
        "featx evaluate run new-photos",
        "featx evaluate run new-photos.csv --out evaluation",
    ),
    "visualize": (
        "featx visualize run",
        "featx visualize run --method umap --add-split test",
        "featx visualize photos.csv --by camera --out maps",
    ),
    "compare": (
        "featx compare run",
        "featx compare photos --backbone mobilenetv2 --out comparison",
        "featx compare run --classifiers logreg,knn --save-best best",
    ),
    "clusters": (
        "featx clusters run",
        "featx clusters photos --out clusters",
    ),
    "search": (
        "featx search run photo.jpg",
        "featx search photos photo.jpg --k 20 --html neighbours.html",
    ),
    "audit": (
        "featx audit run",
        "featx audit photos.csv --out audit",
        "featx audit run --positive covid --prevalence 0.05 --out audit",
        "featx audit run --form claim,model-card --out paper",
    ),
    "export": (
        "featx export run --out model.onnx",
        "featx export best --out best.keras --data photos",
    ),
    "report": (
        "featx report run",
        "featx report run-1 run-2 --out both.html",
    ),
    "reproduce": (
        "featx reproduce ROOT --out reproduction",
        "featx reproduce ROOT --out quick --quick",
    ),
    "demo": (
        "featx demo",
        "featx demo --recipe covid4-vgg16 --out vgg16-demo",
    ),
    "sweep": (
        "featx sweep photos --batch-size 8,16,32 --out sweep",
        "featx sweep photos --set fit.patience=5,20 --seeds 6 --jobs 2 --out sweep",
    ),
    "doctor": (
        "featx doctor",
        "featx doctor --json",
    ),
    "backbones list": (
        "featx backbones list",
        "featx backbones list --json",
    ),
    "backbones show": (
        "featx backbones show vgg16",
        "featx backbones show rad-dino",
    ),
    "backbones import": (
        "featx backbones import hf:microsoft/rad-dino --out rad-dino",
        "featx backbones import mine.onnx --like resnet50 --out mine",
    ),
    "recipes list": (
        "featx recipes list",
        "featx recipes list --json",
    ),
    "recipes show": (
        "featx recipes show linear",
        "featx recipes show covid4-vgg16 > mine.toml",
    ),
    "cache info": (
        "featx cache info",
        "featx cache info --cache /data/featx-cache",
    ),
    "cache verify": (
        "featx cache verify",
        "featx cache verify --cache /data/featx-cache",
    ),
    "cache gc": (
        "featx cache gc",
        "featx cache gc --drop 8dbaca5c6e5a --dry-run",
    ),
    "cache explain": (
        "featx cache explain photo.jpg --run run",
        "featx cache explain photo.jpg --backbone vgg16",
    ),
}
"""By command, at least two lines that a reader can type."""
