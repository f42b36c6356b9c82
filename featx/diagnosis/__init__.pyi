from .diagnosing import CacheHealth as CacheHealth
from .diagnosing import Diagnosis as Diagnosis
from .diagnosing import WeightsFile as WeightsFile
from .diagnosing import doctor as doctor
from .engine_trials import EngineTrial as EngineTrial
from .packages import Package as Package
from .packages import missing_of_extras as missing_of_extras
from .problems import Problem as Problem
