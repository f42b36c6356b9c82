from .predicted import Prediction as Prediction
from .predicting import predict as predict
from .predicting import read_model as read_model
from .result import Predictions as Predictions
