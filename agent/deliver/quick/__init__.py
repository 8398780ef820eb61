"""Makes the write of an envelope quick for the host."""
