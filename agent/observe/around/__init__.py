"""What surrounds a call: request, task, user, breadcrumbs, trace and release."""
