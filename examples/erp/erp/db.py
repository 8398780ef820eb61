"""Small database helpers shared by the apps."""

from __future__ import annotations

import django
from django.db import models

# Django 5.1 renamed the argument; 4.2 has only the old name.
_CONDITION = "condition" if django.VERSION >= (5, 1) else "check"


def check_constraint(condition: models.Q, name: str) -> models.CheckConstraint:
    return models.CheckConstraint(**{_CONDITION: condition}, name=name)
