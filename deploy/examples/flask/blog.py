"""A small Flask app that can live below any path.

    uwsgi --plugin python3 --socket /run/blog/uwsgi.sock --module blog:app

Headgate's `mount: /blog` sends SCRIPT_NAME=/blog, so url_for() gives links
that begin with /blog although no route here says so.
"""
from flask import Flask, request, url_for

app = Flask(__name__)

POSTS = {
    "first": "WSGI speaks HTTP/1.1. The gateway speaks the rest.",
    "second": "Links know where the app is mounted.",
}


@app.get("/")
def index():
    links = "".join(
        f'<li><a href="{url_for("post", name=name)}">{name}</a></li>' for name in POSTS
    )
    return f"<!doctype html><title>blog</title><h1>blog</h1><ul>{links}</ul>\n"


@app.get("/post/<name>")
def post(name):
    if name not in POSTS:
        return "no such post\n", 404, {"Content-Type": "text/plain"}
    protocol = request.environ.get("SERVER_PROTOCOL", "")
    back = url_for("index")
    return (
        f"<!doctype html><title>{name}</title><p>{POSTS[name]}</p>"
        f'<p>You came over {protocol}. <a href="{back}">back</a></p>\n'
    )
