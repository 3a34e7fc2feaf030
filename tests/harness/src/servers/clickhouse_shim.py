"""ClickHouse in process (chdb) behind the HTTP interface of a server, as far as a sink asks it.

Takes a folder, a port and a password. What is inserted is in the folder, over a kill. A file `lose_answer` in the folder
makes it lose the answer to the next insert, which it has done by then."""

import http.server
import os
import sys
import threading
import urllib.parse

from chdb import session

FOLDER, PORT, PASSWORD = sys.argv[1], int(sys.argv[2]), sys.argv[3]
SESSION = session.Session(os.path.join(FOLDER, "data"))
# Connections stay open, and one statement comes after the other.
ONE_AT_A_TIME = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        asked = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        statement = asked["query"][0]
        if self.headers.get("x-clickhouse-key") != PASSWORD:
            user = self.headers.get("x-clickhouse-user")
            text = f"Code: 516. DB::Exception: {user}: Authentication failed: password is incorrect."
            return self.answer(403, text.encode())
        try:
            with ONE_AT_A_TIME:
                is_insert = statement.startswith("INSERT")
                answer = self.insert(statement, body, asked) if is_insert else run(statement)
        except Exception as error:
            return self.answer(500, str(error).encode())
        mark = os.path.join(FOLDER, "lose_answer")
        if is_insert and os.path.exists(mark):
            os.remove(mark)
            self.close_connection = True
            return None
        return self.answer(200, answer)

    def insert(self, statement, body, asked):
        # A statement that has its rows behind it, for an engine that has them in a file.
        head, file_format = statement.rsplit(" FORMAT ", 1)
        columns = head[head.index("(") :]
        path = os.path.join(FOLDER, "body")
        with open(path, "wb") as file:
            file.write(body)
        token = asked["insert_deduplication_token"][0]
        settings = f"SETTINGS insert_deduplication_token = '{token}'"
        return run(f"{head} {settings} SELECT {columns[1:-1]} FROM file('{path}', '{file_format}')")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def run(statement):
    return SESSION.query(statement, "TSV").bytes()


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
