"""An S3 server with the files of a folder in a bucket: s3_server.py FOLDER BUCKET.

Prints its port and those of the proxies before it:

flaky   fails every few requests, as busy servers do: it refuses, it hangs up,
        or it does what was asked and hangs up before it says so
slow    takes a while to put an object
old     does not know conditions on what is put, and puts
closed  forbids to put anything
counted counts what is got

Then it does what its standard input says, a line each, and answers with a line:

get PREFIX FOLDER   writes the objects below a prefix into a folder
put FILE KEY        puts an object
delete KEY
away / back         the proxies hang up on everybody, until they are back
count FILE          writes what `counted` has counted so far: gets of whole objects, gets
                    of ranges, and bytes of both
"""

import http.client
import socket
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
from moto.server import ThreadedMotoServer

folder, bucket = Path(sys.argv[1]), sys.argv[2]
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
_, port = server.get_host_and_port()
s3 = boto3.client(
    "s3",
    endpoint_url=f"http://127.0.0.1:{port}",
    region_name="us-east-1",
    aws_access_key_id="test",
    aws_secret_access_key="test",
)
s3.create_bucket(Bucket=bucket)
for path in sorted(folder.rglob("*")):
    if path.is_file():
        key = str(path.relative_to(folder))
        # Public, so that plain HTTP reads it too.
        s3.upload_file(str(path), bucket, key, ExtraArgs={"ACL": "public-read"})

requests = 0
counts = [0, 0, 0]
counting = threading.Lock()
# moto looks whether an object is there and then puts it: stores do both at once.
putting = threading.Lock()
away = False


class Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    mode = ""

    def hang_up(self):
        # Reset, as a connection that was lost.
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        self.connection.close()

    def say(self, status, words, body=b""):
        self.send_response(status, words)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer(self):
        global requests
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if away:
            return self.hang_up()
        headers = dict(self.headers)
        number = 1
        if self.mode == "flaky":
            with counting:
                requests += 1
                number = requests
            if number % 5 == 0:
                return self.say(503, "Slow Down")
            if number % 7 == 0:
                return self.hang_up()
        elif self.mode == "closed" and self.command != "GET" and self.command != "HEAD":
            words = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            return self.say(403, "Forbidden", words)
        elif self.mode == "old":
            headers = {k: v for k, v in headers.items() if k.lower() != "if-none-match"}
        elif self.mode == "slow" and self.command == "PUT":
            time.sleep(0.25)
        upstream = http.client.HTTPConnection("127.0.0.1", port)
        with putting:
            upstream.request(self.command, self.path, body, headers)
            response = upstream.getresponse()
            answer = response.read()
        if self.mode == "flaky" and number % 11 == 0:
            return self.hang_up()
        if self.mode == "counted" and self.command == "GET":
            with counting:
                counts["Range" in self.headers] += 1
                counts[2] += len(answer)
        self.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        if "content-length" not in {name.lower() for name, _ in response.getheaders()}:
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

    def log_message(self, *_):
        pass


def get(prefix, into):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix + "/")
    for item in (item for page in pages for item in page.get("Contents", [])):
        path = Path(into) / item["Key"].removeprefix(prefix + "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, item["Key"], str(path))


ports = [port]
for mode in ("flaky", "slow", "old", "closed", "counted"):
    handler = type(mode, (Proxy,), {"mode": mode})
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    ports.append(proxy.server_address[1])
print(*ports, flush=True)
for line in sys.stdin:
    what, *arguments = line.split()
    if what == "get":
        get(*arguments)
    elif what == "put":
        s3.upload_file(arguments[0], bucket, arguments[1])
    elif what == "delete":
        s3.delete_object(Bucket=bucket, Key=arguments[0])
    elif what == "count":
        Path(arguments[0]).write_text(" ".join(map(str, counts)))
    else:
        away = what == "away"
    print("done", flush=True)
print(requests, flush=True)
server.stop()
