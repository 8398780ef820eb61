"""Looks targets up in the installed code, without importing or running any of it.

    SearchPath ──► Finder ──► ModuleFile ──► Index (ast) ──► resolve ──► Outcome
    (sys.path of     (the import system's      (what a module's       (found · found elsewhere ·
     an interpreter)  own path rules)           text defines)          not found · cannot be checked)

What this says informs the commands alone: the plan, and so the run time, never depends on it.
"""
