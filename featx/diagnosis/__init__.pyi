from .diagnosing import Diagnosis as Diagnosis
from .diagnosing import doctor as doctor
