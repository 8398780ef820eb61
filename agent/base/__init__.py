"""The ground floor: types, errors, places on disk, and what every other room may use."""
