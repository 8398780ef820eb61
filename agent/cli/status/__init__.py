"""`status` and `top`: whether the monitoring works, and how the ERP's operations run."""
