"""Logistic regression on the features of images held out: labels in doubt, and the learning curve."""
