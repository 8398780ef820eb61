"""Changes the code of one function, and undoes that."""
