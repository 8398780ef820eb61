"""What a framework needs beyond a pack."""
