"""The checkpoint of a run that names none; light, because runs of other projects ask for it."""

DEFAULT_MODEL = "planted/base"
MODEL_VARIABLE = "MMFLOW_MODEL"
"""Of the environment: the checkpoint where the command line names none."""
