from .exported import STARTS as STARTS
from .exported import Exported as Exported
from .exported import chosen_format as chosen_format
from .exported import export as export
