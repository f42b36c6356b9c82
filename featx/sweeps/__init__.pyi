from .fits import FitScores as FitScores
from .grid import as_text as as_text
from .grid import check_weights_once as check_weights_once
from .grid import column_names as column_names
from .grid import parsed_setting as parsed_setting
from .grid import parsed_values as parsed_values
from .result import Sweep as Sweep
from .sweeping import sweep as sweep
