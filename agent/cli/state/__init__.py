"""What a command reads of processes, plans and users in the state folder."""
