"""The event that is made of one Observation."""
