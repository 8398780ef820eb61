"""Who we are, who may sign in, and who did what."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Company(models.Model):
    """A legal entity of the group. Users see the documents of their own company only."""

    code = models.CharField(max_length=10, unique=True)
    name = models.CharField(max_length=80)
    currency = models.CharField(max_length=3, default="SEK")

    class Meta:
        verbose_name_plural = "companies"
        ordering = ["code"]

    def __str__(self) -> str:
        return self.name


class Employee(models.Model):
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="employee")
    company = models.ForeignKey(Company, on_delete=models.PROTECT, related_name="employees")
    title = models.CharField(max_length=80, blank=True)

    def __str__(self) -> str:
        return f"{self.user.get_full_name() or self.user.get_username()}, {self.title}"


class ApiToken(models.Model):
    """A key for the JSON API. Only its digest is kept; the key itself is shown once, when it is made."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    label = models.CharField(max_length=60)
    digest = models.CharField(max_length=64, unique=True)
    revoked = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.label} ({self.user})"


class NumberSequence(models.Model):
    """The last number given out for a series of documents, such as SO for sales orders."""

    prefix = models.CharField(max_length=6, primary_key=True)
    last = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.prefix}-{self.last:05d}"


class AuditQuerySet(models.QuerySet):
    def about(self, obj: models.Model) -> AuditQuerySet:
        return self.filter(object_type=obj._meta.label_lower, object_id=str(obj.pk))


class AuditEntry(models.Model):
    """One thing somebody did. Entries are written once and never changed."""

    at = models.DateTimeField(auto_now_add=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    action = models.CharField(max_length=60, db_index=True)
    object_type = models.CharField(max_length=60, blank=True)
    object_id = models.CharField(max_length=40, blank=True)
    object_name = models.CharField(max_length=120, blank=True)
    detail = models.JSONField(default=dict, blank=True)

    objects = AuditQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "audit entries"
        ordering = ["-id"]
        indexes = [models.Index(fields=["object_type", "object_id"], name="audit_object")]

    def __str__(self) -> str:
        return f"{self.action} {self.object_name}".strip()
