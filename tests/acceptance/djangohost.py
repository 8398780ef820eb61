"""A small Django project without a line about the agent, for tests that start it in every way that Django can be started."""

SETTINGS = """
import os
BASE = os.path.dirname(os.path.abspath(__file__))
SECRET_KEY, DEBUG, USE_TZ = "not-a-secret-of-anybody", os.environ.get("DEBUG") == "1", True
ALLOWED_HOSTS, ROOT_URLCONF = ["*"], "urls"
WSGI_APPLICATION, ASGI_APPLICATION = "wsgi.application", "asgi.application"
INSTALLED_APPS = ["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
                  "django.contrib.sessions", "django.contrib.messages", "shop"]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware",
              "django.contrib.messages.middleware.MessageMiddleware"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {"context_processors": [
    "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
    "django.contrib.messages.context_processors.messages"]}}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("DB", os.path.join(BASE, "db.sqlite3"))}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGGING = {"version": 1, "disable_existing_loggers": False, "handlers": {"null": {"class": "logging.NullHandler"}},
           "root": {"handlers": ["null"], "level": "INFO"}}
if os.environ.get("SQL_LOG"):
    DEBUG = True
    LOGGING["formatters"] = {"sql": {"format": "SQL {message}", "style": "{"}}
    LOGGING["handlers"]["sql"] = {"class": "logging.FileHandler", "filename": os.environ["SQL_LOG"], "formatter": "sql"}
    LOGGING["loggers"] = {"django.db.backends": {"handlers": ["sql"], "level": "DEBUG", "propagate": False}}
"""
SERVICES = """
import logging, os
logger = logging.getLogger("shop")
class OutOfStock(Exception): pass
def order(number):
    logger.info("order %s of card 4111 1111 1111 1111 is being made", number)
    from django.core.cache import cache
    cache.set("order", number); cache.get("order")
    raise OutOfStock(f"{number} in {os.getpid()}")
def fine(): return os.getpid()
def deactivate(users): users.update(is_active=False)
def explode(): raise OutOfStock("an action of the admin")
"""
VIEWS = """
import asyncio
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.http import HttpResponse, JsonResponse
from . import services
def fine(request): return HttpResponse(str(services.fine()))
def order(request, number): return HttpResponse(services.order(number))
async def aorder(request, number):
    await asyncio.sleep(0)
    return HttpResponse(services.order(number))
async def aunauthorized(request): return HttpResponse("no", status=401)
def enter(request):
    user, _ = User.objects.get_or_create(username="anna", email="anna@example.com", is_staff=True, is_superuser=True)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return JsonResponse({"id": user.pk})
def crash(request): return HttpResponse(1 / 0)
def who(request): return HttpResponse(request.user.username + 1)
"""
URLS = """
from django.contrib import admin
from django.urls import path
from shop import views
urlpatterns = [
    path("admin/", admin.site.urls), path("fine/", views.fine), path("enter/", views.enter), path("crash/", views.crash),
    path("who/", views.who),
    path("order/<int:number>/", views.order), path("aorder/<int:number>/", views.aorder),
]
"""
ADMIN = """
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from . import services
class Users(UserAdmin):
    actions = ["deactivate", "explode"]
    def deactivate(self, request, queryset): services.deactivate(queryset)
    def explode(self, request, queryset): services.explode()
admin.site.unregister(User)
admin.site.register(User, Users)
"""
COMMAND = """
from django.core.management.base import BaseCommand
from shop import services
class Command(BaseCommand):
    def handle(self, *args, **options): services.order(7)
"""
TESTS = """
from django.test import TestCase
from shop import services
class ShopTest(TestCase):
    def test_fine(self): self.assertEqual(self.client.get("/fine/").status_code, 200)
    def test_order(self):
        with self.assertRaises(services.OutOfStock): self.client.get("/order/5/")
"""
MANAGE = """
import os, sys
from django.core.management import execute_from_command_line
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
if __name__ == "__main__": execute_from_command_line(sys.argv)
"""
SERVER = """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
from django.core.{0} import get_{0}_application
application = get_{0}_application()
"""
MONITORS = """
version: 1
packs: [django]
defaults: {rate_limit: off, budget: off}
modules: {sales: {owner: sales-team}}
sentry: {dsn: "${SENTRY_DSN:-}", traces_sample_rate: 1.0}
monitors:
  - {target: shop.services.order, module: sales, operation: order, capture: {number: number}}
  - {target: shop.services.explode, module: sales, operation: explode}
  - {target: shop.services.deactivate, module: sales, operation: deactivate, kind: business, process: hr}
"""


def write(host, settings: str = "", monitors: str = MONITORS) -> None:
    host.write(
        settings__py=SETTINGS + settings, urls__py=URLS, manage__py=MANAGE, monitors__yaml=monitors,
        wsgi__py=SERVER.format("wsgi"), asgi__py=SERVER.format("asgi"),
        shop___services__py=SERVICES, shop___views__py=VIEWS, shop___admin__py=ADMIN, shop___tests__py=TESTS,
        shop___management___commands___order__py=COMMAND,
    )  # fmt: skip
    for folder in ("shop", "shop/management", "shop/management/commands"):
        (host.folder / folder / "__init__.py").touch()


def migrate(host) -> None:
    host.run("manage.py", "migrate", "-v", "0", agent=False)
