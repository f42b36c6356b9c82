from .candidates import projected as projected
from .copies import SAME_BYTES as SAME_BYTES
from .copies import Copies as Copies
from .copies import Pair as Pair
from .copies import find_copies as find_copies
