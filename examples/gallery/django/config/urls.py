"""One page: how many users there are."""

from django.contrib.auth.models import User
from django.http import HttpRequest, JsonResponse
from django.urls import path


def users(_request: HttpRequest) -> JsonResponse:
    """Count the users in the database."""
    return JsonResponse({"users": User.objects.count(), "from": "django"})


urlpatterns = [path("users/", users)]
