def sentry_monitor(module, operation=None, **_):
    return lambda function: function


kept = sentry_monitor
guard = sentry_monitor("sales", "guarded_elsewhere")
