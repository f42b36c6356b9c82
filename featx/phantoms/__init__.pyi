from .demonstration import EPOCHS as EPOCHS
from .demonstration import RECIPE as RECIPE
from .demonstration import Demo as Demo
from .demonstration import demo as demo
from .phantoms import write_phantoms as write_phantoms
