from django.dispatch import Signal

# Sent inside the transaction that changes the order, with ``order``, its ``previous`` status
# and, if known, the user it was done ``by``.
order_status_changed = Signal()
