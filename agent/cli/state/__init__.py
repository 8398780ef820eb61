"""What commands read in state folders and in /proc: processes, their plans, and other users' folders."""
