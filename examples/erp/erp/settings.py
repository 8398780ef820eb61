"""Settings of the ERP. What differs between installations comes from the environment."""

from __future__ import annotations

import datetime
import os
from decimal import Decimal
from pathlib import Path
from urllib.parse import unquote, urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = os.environ.get("ERP_DEBUG") == "1"
SECRET_KEY = os.environ.get("ERP_SECRET_KEY", "norrland-local-only-3f1c2b7d9a8e4650")
ALLOWED_HOSTS = os.environ.get("ERP_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

# --- Files -----------------------------------------------------------------------------------------

DATABASE_FILE = Path(os.environ.get("ERP_DB", BASE_DIR / "var" / "erp.sqlite3"))
STATE_DIR = DATABASE_FILE.parent
STATE_DIR.mkdir(parents=True, exist_ok=True)

# --- Applications ----------------------------------------------------------------------------------

INSTALLED_APPS = [
    "erp",
    "accounts",
    "sales",
    "inventory",
    "production",
    "quality",
    "reports",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "accounts.middleware.CompanyMiddleware",
    "accounts.middleware.ActorMiddleware",
]

ROOT_URLCONF = "erp.urls"
WSGI_APPLICATION = "erp.wsgi.application"
ASGI_APPLICATION = "erp.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "accounts.context_processors.company",
            ],
        },
    },
]

# --- Database --------------------------------------------------------------------------------------

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"


def _database(url: str | None) -> dict:
    """SQLite unless ERP_DATABASE_URL names a PostgreSQL: ``postgresql://user:password@host:5432/name``."""
    if not url:
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE_FILE, "OPTIONS": {"timeout": 20}}
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        raise ValueError(f"ERP_DATABASE_URL: cannot use {parts.scheme!r}; expected postgresql://")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": parts.port or "",
        "CONN_MAX_AGE": 60,
    }


DATABASES = {"default": _database(os.environ.get("ERP_DATABASE_URL"))}

# --- Cache and sessions ----------------------------------------------------------------------------

CACHE_URL = os.environ.get("ERP_CACHE_URL")
if CACHE_URL:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": CACHE_URL}}
    # Read from the cache, kept in the database: a cache that is emptied signs nobody out.
    SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"

# --- Sign-in ---------------------------------------------------------------------------------------

PASSWORD_HASHERS = [
    f"django.contrib.auth.hashers.{name}PasswordHasher"
    for name in os.environ.get("ERP_PASSWORD_HASHERS", "Scrypt,PBKDF2").split(",")
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "accounts:login"

# --- Language, static files, mail ------------------------------------------------------------------

LANGUAGE_CODE = "en"
TIME_ZONE = "Europe/Stockholm"
USE_TZ = True

STATIC_URL = "static/"

EMAIL_BACKEND = os.environ.get("ERP_EMAIL_BACKEND", "django.core.mail.backends.filebased.EmailBackend")
EMAIL_FILE_PATH = STATE_DIR / "outbox"
DEFAULT_FROM_EMAIL = "Norrland Furniture <orders@norrland.example>"

# --- Celery ----------------------------------------------------------------------------------------

CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", "memory://")
CELERY_TASK_ALWAYS_EAGER = "CELERY_BROKER_URL" not in os.environ
CELERY_TASK_IGNORE_RESULT = False
CELERY_TIMEZONE = TIME_ZONE
# How long a day is for the schedule. A demonstration has no time for a whole one.
_DAY = float(os.environ.get("ERP_DAY_SECONDS", 24 * 3600))
CELERY_BEAT_SCHEDULE = {
    "invoice-shipped-orders": {"task": "sales.tasks.nightly_invoicing", "schedule": _DAY},
    "replenish-main-warehouse": {
        "task": "inventory.tasks.replenish_warehouse",
        "schedule": _DAY / 4,
        "args": ["UME"],
    },
}

# --- The business ----------------------------------------------------------------------------------

# The date we book on, today if it is not given: for catching up after a closed day, and for demonstrations.
_BOOKING_DATE = os.environ.get("ERP_BOOKING_DATE")
ERP_BOOKING_DATE = datetime.date.fromisoformat(_BOOKING_DATE) if _BOOKING_DATE else None
# Months that the general ledger takes no more postings for, such as 2026-02.
ERP_CLOSED_PERIODS = [period for period in os.environ.get("ERP_CLOSED_PERIODS", "").split(",") if period]
# One order may not exceed this without a framework agreement; larger ones are rejected.
ERP_ORDER_LIMIT = Decimal("250000.00")
# The yearly archive lives on tape-backed storage, which responds slowly.
ERP_SLOW_REPORT_SECONDS = float(os.environ.get("ERP_SLOW_REPORT_SECONDS", "0.4"))
# How long we wait for a supplier's gateway before we carry on without its response.
ERP_SUPPLIER_TIMEOUT_SECONDS = 2.0

# --- Logging ---------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {
        "file": {
            "class": "logging.handlers.RotatingFileHandler",
            "filename": STATE_DIR / "erp.log",
            "maxBytes": 5_000_000,
            "backupCount": 3,
            "formatter": "line",
            "delay": True,
            "encoding": "utf-8",
        },
    },
    "root": {"handlers": ["file"], "level": "INFO"},
    "loggers": {
        # Requests that fail are in the file, once, through the root logger.
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "celery": {"level": "WARNING"},
    },
}
