"""Passes on what monitors under other names; the files that use it contain no word of a tool."""

from sentry_sdk import trace as measured

from .tools import guard
from .tools import sentry_monitor as watched
