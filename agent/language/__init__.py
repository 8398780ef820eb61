"""The configuration language: what durations, rates, targets and expressions mean, in the file and in decorators."""
