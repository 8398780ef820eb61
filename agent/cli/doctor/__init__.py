"""What `doctor` checks: one file for each subject, each with findings that say what to do."""
