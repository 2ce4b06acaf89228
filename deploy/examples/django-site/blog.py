"""A second app: it has routes of its own and does not know that it is at /blog.

Headgate's `mount: /blog` tells it (SCRIPT_NAME), so url_for() gives addresses
that begin with /blog.
"""
from flask import Flask, redirect, request, url_for

app = Flask(__name__)

POSTS = {"first": "The gateway speaks HTTP/3, the app need not know.", "second": "One name, two apps."}


@app.get("/")
def index():
    links = "".join(f'<li><a href="{url_for("post", name=name)}">{name}</a></li>' for name in POSTS)
    return f"<!doctype html><title>blog</title><h1>blog</h1><ul>{links}</ul>\n"


@app.get("/newest")
def newest():
    answer = redirect(url_for("post", name="second"))
    answer.set_cookie("seen", "yes", path=request.script_root + "/")
    return answer


@app.get("/post/<name>")
def post(name):
    if name not in POSTS:
        return "no such post\n", 404, {"Content-Type": "text/plain"}
    return f'<!doctype html><title>{name}</title><p>{POSTS[name]}</p><a href="{url_for("index")}">back</a>\n'
