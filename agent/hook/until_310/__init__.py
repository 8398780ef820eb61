"""What only CPython 3.9 and 3.10 need. Deleted together with their support; a test lists the places that use it."""
