"""What the tests of all apps start from: the demonstration company on its day."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.test import Client, TestCase, override_settings

from accounts.models import Company
from erp import clock
from erp.demo import catalogue
from erp.demo.seed import seed
from inventory.stock import WarehouseStock
from sales.models import Customer, Product


@override_settings(
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    CELERY_TASK_ALWAYS_EAGER=True,
    ERP_SLOW_REPORT_SECONDS=0,
)
class ErpTestCase(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        seed()
        cls.company = Company.objects.get(code="NF-SE")

    def setUp(self) -> None:
        day = clock.business_date(catalogue.DEMO_DAY)
        day.__enter__()
        self.addCleanup(day.__exit__, None, None, None)
        self.stock = WarehouseStock.default_for(self.company)

    def user(self, username: str):
        return get_user_model().objects.get(username=username)

    def browser(self, username: str) -> Client:
        client = Client(raise_request_exception=False)
        client.force_login(self.user(username))
        return client

    def api(self, username: str) -> Client:
        return Client(HTTP_AUTHORIZATION=f"Bearer {catalogue.TOKEN.format(username=username)}")

    def customer(self, name: str) -> Customer:
        return Customer.objects.get(name=name)

    def product(self, code: str) -> Product:
        return Product.objects.get(code=code)
