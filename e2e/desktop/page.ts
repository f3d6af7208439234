import type { Sandbox } from '@e2b/desktop';

const PORT = 8_000;
const EVENTS = '/tmp/events';

/** A field on top, a green area below; every event goes to the server as one line. */
const PAGE = `<!doctype html><meta charset="utf-8"><title>Events</title>
<body style="margin:0;background:#0a0;height:3000px"><textarea id="field" autofocus style="width:100%;height:80px;box-sizing:border-box"></textarea>
<script>
const send = (...words) => fetch('/event', { method: 'POST', body: words.join(' ') });
for (const type of ['mousedown', 'mouseup', 'dblclick', 'contextmenu'])
  addEventListener(type, (event) => { if (type === 'contextmenu') event.preventDefault(); send(type, event.button, event.screenX, event.screenY); });
addEventListener('keydown', (event) => send('key', (event.ctrlKey ? 'ctrl+' : '') + event.key));
addEventListener('wheel', (event) => send('wheel', event.deltaY > 0 ? 'down' : 'up'), { passive: true });
field.addEventListener('focus', () => send('focus'));
field.addEventListener('input', () => send('text', encodeURIComponent(field.value)));
send('loaded');
</script>`;

const SERVER = `
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = open('/tmp/page.html', 'rb').read()
        self.send_response(200); self.send_header('Content-Type', 'text/html'); self.end_headers(); self.wfile.write(body)
    def do_POST(self):
        line = self.rfile.read(int(self.headers['Content-Length'])).decode()
        with open('${EVENTS}', 'a') as file: file.write(line + chr(10))
        self.send_response(204); self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(('127.0.0.1', ${PORT}), Handler).serve_forever()
`;

/** A page that Chromium inside of a desktop shows, and what happened on it. */
export class Page {
  readonly url = `http://127.0.0.1:${PORT}/`;
  readonly #desktop: Sandbox;

  private constructor(desktop: Sandbox) {
    this.#desktop = desktop;
  }

  static async serve(desktop: Sandbox): Promise<Page> {
    await desktop.files.write([
      { path: '/tmp/page.html', data: PAGE },
      { path: '/tmp/server.py', data: SERVER },
      { path: EVENTS, data: '' },
    ]);
    await desktop.commands.run('exec python3 /tmp/server.py', { background: true, timeoutMs: 0 });
    return new Page(desktop);
  }

  /** All that happened since the last `forget`, oldest first. */
  async events(): Promise<string[]> {
    return (await this.#desktop.files.read(EVENTS)).split('\n').filter(Boolean);
  }

  async forget(): Promise<void> {
    await this.#desktop.files.write(EVENTS, '');
  }
}
