"""Mail leaves through here. The mail server of the hosting company takes a limited number at a time."""

from __future__ import annotations

from django.core.mail import EmailMessage

from sales.errors import MailServerBusy


class Outbox:
    def __init__(self) -> None:
        self._busy_for = 0

    def busy_for(self, calls: int) -> None:
        """Refuse the next ``calls`` messages."""
        self._busy_for = calls

    def send(self, message: EmailMessage) -> None:
        if self._busy_for > 0:
            self._busy_for -= 1
            raise MailServerBusy("450 too many connections, try again later")
        message.send()


outbox = Outbox()
