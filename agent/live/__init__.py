"""What the agent observes of a process while its calls run, in a thread that exists only where it was asked for."""
