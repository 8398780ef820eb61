"""Errors of signing in and of being allowed to."""

from django.core.exceptions import PermissionDenied

from erp.errors import BusinessError


class NoCompany(BusinessError, PermissionDenied):
    """A user who belongs to no company requested something that belongs to one. Pages return a 403."""

    code = "no_company"
    status = 403

    def __init__(self, username: str) -> None:
        super().__init__(f"{username} is not employed by any company")
