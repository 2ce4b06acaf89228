"""Settings of a small site that Headgate stands in front of.

Nothing here knows about Headgate but what is marked: a member's page says which
file it wants to be sent, and Headgate sends it.
"""
import os
from pathlib import Path

from django.core.management.utils import get_random_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
VAR = BASE_DIR / "var"  # what is made while it runs: database, files, sockets
VAR.mkdir(exist_ok=True)


def secret_key():
    """The key that all processes of all pools share."""
    file = VAR / "secret_key"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(get_random_secret_key())
    return file.read_text()


SECRET_KEY = secret_key()
DEBUG = False
ALLOWED_HOSTS = [".localhost"]
VERSION = os.environ.get("CLUB_VERSION", "stable")

INSTALLED_APPS = [
    "club",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
ROOT_URLCONF = "club.urls"
WSGI_APPLICATION = "club.wsgi.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": VAR / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "/admin/login/"

# Names with the hash of their content, which staticfiles.json lists: Headgate
# tells browsers to keep them for a year. The .gz beside them are sent as they are.
STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"
STATICFILES_STORAGE = "club.storage.CompressedManifestStorage"

# Uploads have no address of their own: club.views.document hands them out.
MEDIA_ROOT = VAR / "media"

# request.is_secure() is right without SECURE_PROXY_SSL_HEADER: Headgate says the
# scheme in wsgi.url_scheme. HSTS and its like are Headgate's (security: strict).
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
