"""featx: run a frozen network over your images once, then do everything else on its cached features.

The public names load what they need when they are first used; `import featx` itself is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featx.errors import FeatxError as FeatxError
    from featx.phantoms import write_phantoms as write_phantoms
    from featx.pipeline.benchmarking import bench as bench
    from featx.pipeline.clustering import Clusters as Clusters
    from featx.pipeline.clustering import clusters as clusters
    from featx.pipeline.comparing import compare as compare
    from featx.pipeline.comparison import Comparison as Comparison
    from featx.pipeline.comparison_files import save_best as save_best
    from featx.pipeline.demonstration import demo as demo
    from featx.pipeline.diagnosing import doctor as doctor
    from featx.pipeline.extraction import Extraction as Extraction
    from featx.pipeline.extraction import extract as extract
    from featx.pipeline.fitting import FitResult as FitResult
    from featx.pipeline.fitting import fit_head as fit_head
    from featx.pipeline.mapping import visualize as visualize
    from featx.pipeline.prediction import predict as predict
    from featx.pipeline.reporting import Report as Report
    from featx.pipeline.reporting import report as report
    from featx.pipeline.reproduction.reproducing import Reproduction as Reproduction
    from featx.pipeline.reproduction.reproducing import reproduce as reproduce
    from featx.pipeline.sweeping import sweep as sweep
    from featx.pipeline.transformer import FeatureExtractor as FeatureExtractor
    from featx.recipe import Recipe as Recipe
    from featx.recipe_files import load_recipe as load_recipe
    from featx.table import FeatureTable as FeatureTable

__version__ = "0.1.0"

_HOME = {
    "Clusters": "featx.pipeline.clustering",
    "Comparison": "featx.pipeline.comparison",
    "Extraction": "featx.pipeline.extraction",
    "FeatureExtractor": "featx.pipeline.transformer",
    "FeatureTable": "featx.table",
    "FeatxError": "featx.errors",
    "FitResult": "featx.pipeline.fitting",
    "Recipe": "featx.recipe",
    "Report": "featx.pipeline.reporting",
    "Reproduction": "featx.pipeline.reproduction.reproducing",
    "bench": "featx.pipeline.benchmarking",
    "clusters": "featx.pipeline.clustering",
    "compare": "featx.pipeline.comparing",
    "demo": "featx.pipeline.demonstration",
    "doctor": "featx.pipeline.diagnosing",
    "extract": "featx.pipeline.extraction",
    "fit_head": "featx.pipeline.fitting",
    "load_recipe": "featx.recipe_files",
    "predict": "featx.pipeline.prediction",
    "report": "featx.pipeline.reporting",
    "reproduce": "featx.pipeline.reproduction.reproducing",
    "sweep": "featx.pipeline.sweeping",
    "save_best": "featx.pipeline.comparison_files",
    "visualize": "featx.pipeline.mapping",
    "write_phantoms": "featx.phantoms",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'featx' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
