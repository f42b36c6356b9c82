from .facts import FORMATS as FORMATS
from .previews import FACTS as FACTS
from .previews import SIDE as SIDE
from .previews import Previews as Previews
from .previews import previews_of as previews_of
