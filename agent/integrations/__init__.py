"""What frameworks need beyond monitors."""
