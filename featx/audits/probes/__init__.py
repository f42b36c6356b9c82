"""Probes: can the class be told without the subject, from file facts, the border or brightness?"""
