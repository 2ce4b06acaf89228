"""An ASGI app for the live tests of members that speak HTTP.

Any path answers with the request as JSON, or does what PAGES says, and a WebSocket
gets back what it sends. RUNS in the environment is the file that gets a line for
each run of /work?id=ID.
"""
import asyncio
import hashlib
import json
import os
from urllib.parse import parse_qs


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await websocket(scope, receive, send)
    else:
        query = {k: v[0] for k, v in parse_qs(scope["query_string"].decode()).items()}
        await PAGES.get(scope["path"], echo)(scope, receive, send, query)


async def lifespan(receive, send):
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def websocket(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "text": scope["path"] + " " + message["text"]})


async def body_of(receive):
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def echo(scope, receive, send, query):
    body = await body_of(receive)
    seen = {
        "method": scope["method"], "path": scope["path"], "raw_path": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(), "version": scope["http_version"],
        "header": [[k.decode("latin-1"), v.decode("latin-1")] for k, v in scope["headers"]],
        "length": len(body), "sha256": hashlib.sha256(body).hexdigest(),
    }
    await answer(send, 200, json.dumps(seen).encode(), [(b"content-type", b"application/json")])


async def work(scope, receive, send, query):
    await body_of(receive)
    if "id" in query:
        with open(os.environ["RUNS"], "a", 1) as runs:
            runs.write(query["id"] + "\n")
    await asyncio.sleep(0.01)
    await answer(send, 200, b"done")


async def stream(scope, receive, send, query):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    for i in range(int(query["n"])):
        await send({"type": "http.response.body", "body": b"data: %d\n\n" % i, "more_body": True})
        await asyncio.sleep(0.2)
    await send({"type": "http.response.body", "body": b""})


async def unchanged(scope, receive, send, query):
    for name, value in scope["headers"]:
        if name == b"if-none-match" and value == b'"v1"':
            await send({"type": "http.response.start", "status": 304, "headers": [(b"etag", b'"v1"')]})
            await send({"type": "http.response.body", "body": b""})
            return
    await answer(send, 200, b"version 1", [(b"etag", b'"v1"')])


async def answer(send, status, body, headers=()):
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


PAGES = {"/work": work, "/stream": stream, "/unchanged": unchanged}
