"""From monitors.yaml to a Plan: `load` reads, checks and compiles; every other file here does one step of that."""
