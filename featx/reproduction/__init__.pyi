from .reported import Figure as Figure
from .reproducing import Reproduction as Reproduction
from .reproducing import reproduce as reproduce
from .verdicts import Judged as Judged
from .verdicts import Ours as Ours
