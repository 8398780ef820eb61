from __future__ import annotations

from django.http import HttpRequest

from accounts.errors import NoCompany
from accounts.services import MANAGERS


def company(request: HttpRequest) -> dict:
    """What every page's header shows: the company, and whether to offer the managers' pages."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}
    try:
        company = request.company if request.company.pk else None
    except NoCompany:
        company = None
    return {"company": company, "is_manager": user.groups.filter(name=MANAGERS).exists()}
