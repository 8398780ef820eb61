"""A furniture maker to try the ERP with: its data, and a working day in its life."""
