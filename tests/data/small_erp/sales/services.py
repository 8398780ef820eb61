import time


class Order:
    def __init__(self, number, status):
        self.id = number
        self.status = status


def create_order(customer_id, items, password=""):
    if customer_id == 2:
        time.sleep(0.3)
    return Order(*priced(customer_id, items))


def priced(customer_id, items):
    if not items:
        raise ValueError("an order needs items; ask anna@example.com")
    return 40 + customer_id, "rejected" if len(items) > 99 else "new"
