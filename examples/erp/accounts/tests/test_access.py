from __future__ import annotations

from django.contrib.auth import get_user_model
from django.test import Client

from accounts.models import ApiToken, AuditEntry
from erp.demo import catalogue
from erp.testing import ErpTestCase


class AccessTests(ErpTestCase):
    def test_signing_in_is_on_the_audit_log(self):
        password = catalogue.PASSWORD.format(username="anna")
        response = self.client.post("/accounts/login/", {"username": "anna", "password": password})
        self.assertRedirects(response, "/")
        self.assertTrue(AuditEntry.objects.filter(action="signed in", actor=self.user("anna")).exists())

    def test_a_wrong_password_is_refused_and_noted_without_the_password(self):
        response = self.client.post("/accounts/login/", {"username": "anna", "password": "guess-4711"})
        self.assertEqual(response.status_code, 200)
        entry = AuditEntry.objects.get(action="sign-in failed")
        self.assertEqual(entry.detail, {"username": "anna"})

    def test_the_audit_log_is_for_managers(self):
        self.assertEqual(self.browser("carla").get("/accounts/audit/").status_code, 200)
        self.assertEqual(self.browser("bo").get("/accounts/audit/").status_code, 403)
        self.assertEqual(self.client.get("/accounts/audit/").status_code, 302)

    def test_a_revoked_token_no_longer_signs_in(self):
        self.assertEqual(self.api("bo").get("/api/stock/").status_code, 200)
        ApiToken.objects.filter(user=self.user("bo")).update(revoked=True)
        self.assertEqual(self.api("bo").get("/api/stock/").status_code, 401)

    def test_a_session_may_read_the_api_but_not_write(self):
        anna = self.browser("anna")
        self.assertEqual(anna.get("/api/orders/").status_code, 200)
        self.assertEqual(anna.post("/api/orders/", {}, content_type="application/json").status_code, 401)

    def test_the_token_of_a_caller_signs_the_audit_entry(self):
        body = {"customer": "C-1001", "items": [{"product": "CHR-ASPEN", "quantity": 1}]}
        number = self.api("anna").post("/api/orders/", body, content_type="application/json").json()["number"]
        self.api("anna").post(f"/api/orders/{number}/confirm/")
        entry = AuditEntry.objects.get(action="order confirmed", object_name=number)
        self.assertEqual(entry.actor, self.user("anna"))

    def test_a_user_without_a_company_gets_a_403(self):
        get_user_model().objects.create_user("temp", password="temporary-9")
        client = Client(raise_request_exception=False)
        client.login(username="temp", password="temporary-9")
        self.assertEqual(client.get("/orders/").status_code, 403)

    def test_the_stylesheet_is_served(self):
        self.assertEqual(self.client.get("/static/erp/erp.css").status_code, 200)
