"""How the JSON API signs in its callers, reads bodies and returns errors."""

from __future__ import annotations

import asyncio
import json
from functools import wraps
from typing import Any, Callable

from asgiref.sync import sync_to_async
from django.http import Http404, HttpRequest, JsonResponse

from accounts.services import user_for_token
from erp.errors import BusinessError, InvalidInput

SAFE_METHODS = ("GET", "HEAD")


def error_response(code: str, message: str, status: int, **extra: Any) -> JsonResponse:
    return JsonResponse({"error": {"code": code, "message": message, **extra}}, status=status)


def api_view(*methods: str, permission: str | None = None) -> Callable:
    """Make a function an API view.

    Callers sign in with ``Authorization: Bearer <token>``; a browser session is enough for reading only,
    which is why these views can do without CSRF tokens. Business errors become 4xx responses. Any other
    exception is a fault of ours and is left to Django.
    """

    def decorate(view: Callable) -> Callable:
        if asyncio.iscoroutinefunction(view):

            @wraps(view)
            async def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> JsonResponse:
                refusal = await sync_to_async(_refuse)(request, methods, permission)
                if refusal is not None:
                    return refusal
                try:
                    return await view(request, *args, **kwargs)
                except (BusinessError, Http404) as error:
                    return _answer(error)

        else:

            @wraps(view)
            def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> JsonResponse:
                refusal = _refuse(request, methods, permission)
                if refusal is not None:
                    return refusal
                try:
                    return view(request, *args, **kwargs)
                except (BusinessError, Http404) as error:
                    return _answer(error)

        # Not the decorator, which before Django 5.0 hides that a view is a coroutine function.
        guarded.csrf_exempt = True
        return guarded

    return decorate


def read_json(request: HttpRequest) -> dict[str, Any]:
    """The body as a JSON object; ``InvalidInput`` if it is anything else."""
    try:
        body = json.loads(request.body or b"{}")
    except ValueError as error:
        raise InvalidInput(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise InvalidInput("the body must be a JSON object")
    return body


def _refuse(request: HttpRequest, methods: tuple[str, ...], permission: str | None) -> JsonResponse | None:
    """The response to a caller without permission, or None for one with it."""
    if request.method not in methods:
        response = error_response("method_not_allowed", f"use {' or '.join(methods)}", 405)
        response["Allow"] = ", ".join(methods)
        return response
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    user = user_for_token(key) if scheme.lower() == "bearer" else None
    if user is not None:
        request.user = user
    elif not (request.user.is_authenticated and request.method in SAFE_METHODS):
        return error_response("not_signed_in", "send a valid token", 401)
    if permission and not request.user.has_perm(permission):
        return error_response("forbidden", f"this takes the permission {permission}", 403)
    return None


def _answer(error: Exception) -> JsonResponse:
    if isinstance(error, BusinessError):
        return JsonResponse({"error": error.as_dict()}, status=error.status)
    return error_response("not_found", "there is no such thing here", 404)
