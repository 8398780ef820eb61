import os

# An internal error of the agent is loud in its own tests, and no test uses the real state folder or a real Sentry.
os.environ["AGENT_TESTING"] = "1"
for name in ("AGENT_CONFIG", "AGENT_DISABLED", "SENTRY_DSN", "SENTRY_ENVIRONMENT", "SENTRY_RELEASE"):
    os.environ.pop(name, None)
