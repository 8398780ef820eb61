"""Roles, API tokens and document numbers."""

from __future__ import annotations

import hashlib

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, Group, Permission
from django.db import transaction
from django.db.models import F

from accounts.models import ApiToken, NumberSequence

SALES, WAREHOUSE, PRODUCTION, MANAGERS = "Sales", "Warehouse", "Production", "Managers"

ROLES = {
    SALES: [
        "sales.view_order",
        "sales.add_order",
        "sales.change_order",
        "sales.confirm_order",
        "sales.view_customer",
        "inventory.view_stockitem",
        "reports.view_reportrun",
    ],
    WAREHOUSE: [
        "sales.view_order",
        "sales.ship_order",
        "inventory.view_stockitem",
        "inventory.change_stockitem",
    ],
    PRODUCTION: [
        "inventory.view_stockitem",
        "production.view_workorder",
        "production.change_workorder",
        "production.release_workorder",
        "quality.view_inspection",
        "quality.add_inspection",
    ],
    MANAGERS: [
        "sales.view_order",
        "sales.release_hold",
        "reports.view_reportrun",
        "accounts.view_auditentry",
    ],
}


@transaction.atomic
def sync_roles() -> None:
    """Make the groups in the database carry exactly the permissions listed in ``ROLES``."""
    known = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in Permission.objects.select_related("content_type")
    }
    for name, wanted in ROLES.items():
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.set([known[permission] for permission in wanted])


def next_number(prefix: str) -> str:
    """The next document number of a series, such as ``SO-00017``. Call it inside a transaction."""
    sequence, _ = NumberSequence.objects.select_for_update().get_or_create(prefix=prefix)
    NumberSequence.objects.filter(pk=sequence.pk).update(last=F("last") + 1)
    sequence.refresh_from_db()
    return str(sequence)


def token_digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def issue_token(user: AbstractBaseUser, label: str, key: str) -> ApiToken:
    """Let ``key`` sign in as ``user`` on the API. Issuing the same key again changes nothing."""
    token, _ = ApiToken.objects.get_or_create(
        digest=token_digest(key), defaults={"user": user, "label": label}
    )
    return token


def user_for_token(key: str) -> AbstractBaseUser | None:
    """The active user a key belongs to, or None."""
    return (
        get_user_model()
        .objects.filter(api_tokens__digest=token_digest(key), api_tokens__revoked=False, is_active=True)
        .first()
    )
