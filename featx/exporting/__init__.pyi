from .exported import Exported as Exported
from .exported import check_out as check_out
from .exported import export as export
