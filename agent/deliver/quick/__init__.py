"""Makes the write of an envelope quick for the thread of the host that captures it."""
