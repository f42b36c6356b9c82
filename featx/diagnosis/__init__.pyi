from .diagnosing import Diagnosis as Diagnosis
from .diagnosing import doctor as doctor
from .packages import missing_of_extras as missing_of_extras
from .problems import Problem as Problem
