"""Puts the company on the request and the signed-in user on the audit log."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin
from django.utils.functional import SimpleLazyObject

from accounts.audit import acting_as
from accounts.errors import NoCompany
from accounts.models import Company


def company_of(request: HttpRequest) -> Company:
    """The company of the signed-in user; administrators without one work for the first company."""
    user = request.user
    company = Company.objects.filter(employees__user_id=user.pk).first()
    if company is None and getattr(user, "is_superuser", False):
        company = Company.objects.first()
    if company is None:
        raise NoCompany(user.get_username() or "an anonymous visitor")
    return company


class CompanyMiddleware(MiddlewareMixin):
    """``request.company``, looked up when first used: static files and the sign-in page never ask."""

    def process_request(self, request: HttpRequest) -> None:
        request.company = SimpleLazyObject(lambda: company_of(request))


class ActorMiddleware:
    sync_capable = True
    async_capable = False

    def __init__(self, get_response) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Asked when an entry is written: a token on the API decides late who the user is.
        with acting_as(lambda: request.user):
            return self.get_response(request)
