"""The report: one HTML page of the ERP's figures and issues, as a file or live on the loopback."""
