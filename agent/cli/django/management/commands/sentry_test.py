"""`manage.py sentry_test`: `python -m agent test` inside a Django project's process."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from .....base.errors import AgentError
from .....base.interrupts import ours
from .....boot import bootstrap
from .... import test
from ....terminal import clean


class Command(BaseCommand):  # type: ignore[misc]
    help = "Send test events to Sentry through the monitoring agent, and print whether it accepted them."
    requires_system_checks = ()

    def add_arguments(self, parser: Any) -> None:
        test.add_kinds(parser)

    def handle(self, **options: Any) -> None:
        agent = bootstrap.current
        if agent is None:
            raise CommandError("the agent is not active in this process")
        try:
            engine = agent.engine()
            engine.outlet.follow_settings()
            status = test.send(engine.outlet.sentry, test.chosen(options))
        except ours(AgentError) as error:
            raise CommandError(clean(str(error))) from None
        if status:
            sys.exit(status)
