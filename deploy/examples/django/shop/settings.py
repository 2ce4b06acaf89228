"""Settings of a demonstration: no database, no sessions, a key per start."""
import os
from pathlib import Path

from django.core.management.utils import get_random_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent

# Nothing outlives a start here. All workers must share the key, so uWSGI's
# master loads the app once and forks (no lazy-apps), or SHOP_SECRET_KEY is set.
SECRET_KEY = os.environ.get("SHOP_SECRET_KEY") or get_random_secret_key()
DEBUG = os.environ.get("SHOP_DEBUG", "") == "1"
ALLOWED_HOSTS = os.environ.get("SHOP_HOSTS", "localhost,127.0.0.1").split(",")

INSTALLED_APPS = ["shop"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": ["django.template.context_processors.request"],
        },
    },
]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"

# Headgate tells the scheme in wsgi.url_scheme, so request.is_secure() is right
# without SECURE_PROXY_SSL_HEADER.
CSRF_COOKIE_SECURE = True
SECURE_CONTENT_TYPE_NOSNIFF = True

# Uploads above 2.5 MiB go to a temporary file, as Django does by default.
DATA_UPLOAD_MAX_MEMORY_SIZE = None

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
