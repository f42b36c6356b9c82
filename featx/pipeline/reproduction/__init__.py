"""The report of 2020, done again: a plan of fits, stages that resume, verdicts, and one page."""
