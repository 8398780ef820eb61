from django.urls import path

from reports import views

app_name = "reports"

urlpatterns = [
    path("", views.ReportIndex.as_view(), name="index"),
    path("<slug:name>/", views.ReportPage.as_view(), name="report"),
]
