"""Signing in, out and failing to are all on the audit log."""

from __future__ import annotations

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver

from accounts import audit


@receiver(user_logged_in)
def note_sign_in(sender, request, user, **kwargs) -> None:
    audit.record("signed in", user, actor=user)


@receiver(user_logged_out)
def note_sign_out(sender, request, user, **kwargs) -> None:
    if user is not None:
        audit.record("signed out", user, actor=user)


@receiver(user_login_failed)
def note_failed_sign_in(sender, credentials, request=None, **kwargs) -> None:
    audit.record("sign-in failed", username=str(credentials.get("username", ""))[:150])
