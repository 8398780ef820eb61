from __future__ import annotations

from functools import wraps
from typing import Callable

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse


def group_required(name: str) -> Callable:
    """Only members of the group may open the page: others get a 403, visitors the sign-in page."""

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        @login_required
        def guarded(request: HttpRequest, *args, **kwargs) -> HttpResponse:
            if not request.user.groups.filter(name=name).exists():
                raise PermissionDenied(f"{request.user} is not one of the {name}")
            return view(request, *args, **kwargs)

        return guarded

    return decorate
