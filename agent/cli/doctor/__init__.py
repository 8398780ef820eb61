"""What `doctor` checks: one file for each subject, each with findings that state what to do."""
