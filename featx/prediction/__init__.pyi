from .evidence import Evidence as Evidence
from .evidence import evidence_of as evidence_of
from .evidence import warn_of_outside as warn_of_outside
from .predicting import predict as predict
from .predicting import read_model as read_model
from .result import Prediction as Prediction
from .result import Predictions as Predictions
