class OnHold(Exception):
    pass
