from django.dispatch import Signal

# Sent inside the transaction that stores an inspection which was not passed, with ``inspection``.
inspection_failed = Signal()
