__version__: str
__all__: list[str]

from .audits import Audit as Audit
from .audits import audit as audit
from .classifiers import Comparison as Comparison
from .classifiers import compare as compare
from .classifiers import save_best as save_best
from .clustering import Clusters as Clusters
from .clustering import clusters as clusters
from .data import Dataset as Dataset
from .data import read_data as read_data
from .diagnosis import doctor as doctor
from .errors import FeatxError as FeatxError
from .evaluations import Evaluation as Evaluation
from .evaluations import evaluate as evaluate
from .exporting import Exported as Exported
from .exporting import export as export
from .features import Extraction as Extraction
from .features import FeatureExtractor as FeatureExtractor
from .features import FeatureTable as FeatureTable
from .features import extract as extract
from .maps import visualize as visualize
from .phantoms import demo as demo
from .phantoms import write_phantoms as write_phantoms
from .prediction import predict as predict
from .recipes import Recipe as Recipe
from .recipes import load_recipe as load_recipe
from .reports import Report as Report
from .reports import report as report
from .reproduction import Reproduction as Reproduction
from .reproduction import reproduce as reproduce
from .runs import FitResult as FitResult
from .runs import fit_head as fit_head
from .searching import SearchResult as SearchResult
from .searching import search as search
from .sweeps import sweep as sweep
