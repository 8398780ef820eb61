"""The compiled plan: how a process reads it, and how a new one is made in another interpreter."""
