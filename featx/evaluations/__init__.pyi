from .evaluating import evaluate as evaluate
from .result import EvaluatedImage as EvaluatedImage
from .result import Evaluation as Evaluation
from .scores import Metric as Metric
from .scores import Scores as Scores
