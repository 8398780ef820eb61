"""The errors that the agent raises to itself. None of them ever reaches the host."""


class AgentError(Exception):
    """Base of all. The text is what happened, where, and what to do next."""


class ConfigError(AgentError):
    """The configuration cannot be used at all."""


class CannotPatch(AgentError):
    """A target exists but cannot be monitored; the text is the reason that `status` shows."""
