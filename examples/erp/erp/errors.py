"""What the business rejects. Each app derives its own errors from ``BusinessError``."""

from __future__ import annotations

from typing import Any


class BusinessError(Exception):
    """A rule of the business was not met.

    ``code`` is stable and meant for machines, ``status`` is the HTTP status of the API response, and
    ``str(error)`` is a sentence that may be shown to the user.
    """

    code = "business_rule"
    status = 409

    def as_dict(self) -> dict[str, Any]:
        return {"code": self.code, "message": str(self)}


class InvalidInput(BusinessError):
    """What was sent cannot be understood."""

    code = "invalid_input"
    status = 400


class InvalidTransition(BusinessError):
    """A document cannot go from the state it is in to the requested one."""

    code = "invalid_transition"

    def __init__(self, document: object, current: str, wanted: str) -> None:
        super().__init__(f"{document} is {current} and cannot become {wanted}")
        self.current = current
        self.wanted = wanted
