"""Each kind of thing: which ones the file wants, and its form in Sentry's API, there and back."""
