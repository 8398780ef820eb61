"""From files to Documents: text, YAML with positions, includes and variables."""
