"""Pages at the root, the JSON API under /api/, Django's admin under /admin/."""

from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.urls import include, path

import inventory.api
import production.api
import quality.api
import sales.api
from reports.views import dashboard

api = [
    *sales.api.urlpatterns,
    *inventory.api.urlpatterns,
    *production.api.urlpatterns,
    *quality.api.urlpatterns,
]

urlpatterns = [
    path("", dashboard, name="dashboard"),
    path("accounts/", include("accounts.urls")),
    path("orders/", include("sales.urls")),
    path("stock/", include("inventory.urls")),
    path("work-orders/", include("production.urls")),
    path("inspections/", include("quality.urls")),
    path("reports/", include("reports.urls")),
    path("api/", include((api, "api"))),
    path("admin/", admin.site.urls),
    # A house of thirty users needs no web server in front for one stylesheet.
    path("static/<path:path>", serve, {"insecure": True}),
]
