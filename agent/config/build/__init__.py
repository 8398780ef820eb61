"""From Documents to the Plan: merge, inherit, check and number the monitors."""
