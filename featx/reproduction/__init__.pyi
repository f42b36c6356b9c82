from .reproducing import Reproduction as Reproduction
from .reproducing import reproduce as reproduce
from .verdicts import FigureVerdict as FigureVerdict
from .verdicts import Measured as Measured
from .verdicts import ReportedFigure as ReportedFigure
