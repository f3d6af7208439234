"""Serves the form, and keeps what is sent with it in registration.json."""
import http.server
import json
import urllib.parse


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, page):
        self.send_response(200)
        self.send_header('Content-Type', 'text/html; charset=utf-8')
        self.end_headers()
        self.wfile.write(page.encode())

    def do_GET(self):
        self.answer(open('/home/user/form.html', encoding='utf-8').read())

    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length'])).decode()
        with open('/home/user/registration.json', 'w', encoding='utf-8') as file:
            json.dump(dict(urllib.parse.parse_qsl(body)), file)
        self.answer('<title>Registered</title><body style="font: 32px sans-serif; margin: 60px">Thank you, you are registered.')


http.server.HTTPServer(('127.0.0.1', 8000), Handler).serve_forever()
