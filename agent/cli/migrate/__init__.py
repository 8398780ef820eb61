"""`migrate`: the monitors.yaml that does what decorators and settings of other tools do. Reads source, runs none.

`command` is the command. `sources` finds the files and their modules, `names` what the names in a file mean, `reader`
walks a file and asks the tools, `found` collects what they return, `writer` makes YAML of it, and `removal` the diff
without the decorators. There is one file for each tool.
"""
