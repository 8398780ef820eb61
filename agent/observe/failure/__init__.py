"""One failure: whether it was reported already, and what becomes of it."""
