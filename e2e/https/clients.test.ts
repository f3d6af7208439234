import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { WebSocket } from 'ws';
import { connection, newSandbox, sharedSandbox, withSandbox } from '../sdk/sandbox.ts';
import { startServer } from '../sdk/server.ts';
import { send } from '../setup/http.ts';

const { domain, sandboxUrl, trust } = inject('islet');
const edgePort = new URL(sandboxUrl).port;
const PORT = 8_080;
const BROWSER = { 'User-Agent': 'Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0', Accept: 'text/html,*/*' };
/** The lines that `islet up` prints. */
const LINES = { SSL_CERT_FILE: trust.bundleFile, NODE_EXTRA_CA_CERTS: trust.authorityFile };

const sandbox = sharedSandbox();
const url = () => `https://${sandbox.current.getHost(PORT)}/echo?by=https`;
beforeAll(() => startServer(sandbox.current, { port: PORT }).then(() => {}));

interface Ran {
  ok: boolean;
  text: string;
}

/** Runs a program with nothing but what a shell has, and these variables. */
function run(file: string, args: string[], env: Record<string, string> = {}): Promise<Ran> {
  const { PATH = '', HOME = '/root' } = process.env;
  return new Promise((resolve) => {
    execFile(file, args, { env: { PATH, HOME, ...env }, timeout: 60_000 }, (error, stdout, stderr) =>
      resolve({ ok: error === null, text: `${stdout}${stderr}` }),
    );
  });
}

const URLLIB = 'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())';
const HTTPX = 'import sys, httpx; print(httpx.get(sys.argv[1]).text)';
const SSL = `import socket, ssl, sys, urllib.parse
to = urllib.parse.urlsplit(sys.argv[1])
context = ssl.create_default_context()
context.verify_flags |= ssl.VERIFY_X509_STRICT
with socket.create_connection((to.hostname, to.port)) as plain:
    with context.wrap_socket(plain, server_hostname=to.hostname) as secure:
        secure.sendall(f'GET {to.path}?{to.query} HTTP/1.1\\r\\nHost: {to.netloc}\\r\\nConnection: close\\r\\n\\r\\n'.encode())
        while data := secure.recv(65536):
            sys.stdout.write(data.decode())`;
const FETCH = 'fetch(process.argv[1]).then((answer) => answer.text()).then(console.log)';
/** Debian's Python, which has Debian's packages. */
const PYTHON = '/usr/bin/python3';

const programs: [string, string, string[]][] = [
  ['curl', 'curl', ['-sS']],
  ['urllib', PYTHON, ['-c', URLLIB]],
  ['ssl', PYTHON, ['-c', SSL]],
  ['httpx', PYTHON, ['-c', HTTPX]],
  ['fetch of Node.js', process.execPath, ['-e', FETCH]],
];

describe.each(programs)('%s', (_, file, args) => {
  it('verifies the certificate with the lines that up prints, and refuses it without', async () => {
    const verified = await run(file, [...args, url()], LINES);
    expect(verified.text).toContain('"url":"/echo?by=https"');
    expect(verified.ok).toBe(true);
    const refused = await run(file, [...args, url()]);
    expect(refused.ok).toBe(false);
    expect(refused.text).toMatch(/certificate|CERT/i);
    expect(refused.text).not.toContain('/echo');
  });
});

const JAVA = '/usr/bin/java';
const FETCH_JAVA = `
import java.net.URI;
import java.net.http.*;
public class Fetch {
  public static void main(String[] args) throws Exception {
    var request = HttpRequest.newBuilder(URI.create(args[0])).build();
    var answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
    System.out.println(answer.version() + " " + answer.body());
  }
}
`;

describe('the client of Java', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'islet-java-'));
    await writeFile(join(dir, 'Fetch.java'), FETCH_JAVA);
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  it('verifies the certificate with the authority in its list, by HTTP/2', async (context) => {
    const asked = process.env.ISLET_TEST_JAVA === '1';
    if (!asked || !existsSync(JAVA)) {
      context.skip(`ISLET_TEST_JAVA=1 runs it, with a JDK at ${JAVA}`);
    }
    const store = join(dir, 'store.p12');
    const password = ['-storepass', 'changeit'];
    const file = ['-file', trust.authorityFile];
    await run('keytool', [
      '-importcert',
      '-noprompt',
      '-alias',
      'islet',
      '-keystore',
      store,
      ...file,
      ...password,
    ]);
    const source = join(dir, 'Fetch.java');
    const trusting = [`-Djavax.net.ssl.trustStore=${store}`, '-Djavax.net.ssl.trustStorePassword=changeit'];
    const verified = await run(JAVA, [...trusting, source, url()]);
    expect(verified.text).toMatch(/HTTP_2 .*"url":"\/echo\?by=https"/);
    const refused = await run(JAVA, [source, url()]);
    expect(refused.text).toContain('unable to find valid certification path');
  });
});

describe('the SDK', () => {
  it('reaches sandboxes by their domain alone, over https', async () => {
    const { apiUrl, apiKey } = connection;
    const own = await Sandbox.create({ apiUrl, apiKey, timeoutMs: 300_000 });
    try {
      expect(own.sandboxDomain).toBe(domain);
      expect((await own.commands.run('echo by name')).stdout).toBe('by name\n');
      await own.files.write('/home/user/note.txt', 'over https');
      // A signed address names the sandbox in its host then.
      const address = await own.downloadUrl('/home/user/note.txt');
      expect(address).toMatch(/^https:\/\/49983-/);
      expect(await (await fetch(address)).text()).toBe('over https');
    } finally {
      await own.kill();
    }
  });

  it.each(['localhost', '127.0.0.1', 'islet.localhost'])(
    'reaches sandboxes through https://%s',
    async (name) => {
      const overTls = { ...connection, sandboxUrl: `https://${name}:${edgePort}` };
      const same = await Sandbox.connect(sandbox.current.sandboxId, overTls);
      expect((await same.commands.run('echo by headers')).stdout).toBe('by headers\n');
    },
  );
});

it('carries WebSockets', async () => {
  const socket = new WebSocket(`wss://${sandbox.current.getHost(PORT)}/socket`, 'mine');
  await new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  const said = new Promise((resolve) => socket.once('message', (data) => resolve(String(data))));
  socket.send('hello');
  expect(await said).toBe('hello');
  socket.close();
});

it('answers to the names of older Islets', async () => {
  const old = `${PORT}-${sandbox.current.sandboxId}.localhost:${edgePort}`;
  const plain = await fetch(`http://${old}/name`);
  expect([plain.status, await plain.text()]).toEqual([200, 'server']);
  // No certificate for `*.localhost` is believed by Node.js, OpenSSL or Chromium: the request alone has the old name.
  const outgoing = request(`https://127.0.0.1:${edgePort}/name`, {
    servername: 'islet.localhost',
    headers: { Host: old },
  }).end();
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
  expect([answer.statusCode, await text(answer)]).toEqual([200, 'server']);
});

describe('a paused sandbox', () => {
  it('shows its page over https', async () => {
    await withSandbox({}, async (own) => {
      await own.pause();
      const page = await send({ method: 'GET', url: `https://${own.getHost(PORT)}/`, headers: BROWSER });
      expect([page.status, page.headers['content-type']]).toEqual([502, 'text/html; charset=utf-8']);
      expect(page.text).toContain('Sandbox Not Found');
    });
  });

  it('is woken by what comes over https, and a fork of it has a name of its own', async () => {
    const own = await newSandbox({ lifecycle: { onTimeout: 'pause', autoResume: true } });
    try {
      await startServer(own, { port: PORT, name: 'woken' });
      await own.pause();
      const woken = await fetch(`https://${own.getHost(PORT)}/name`);
      expect([woken.status, await woken.text()]).toEqual([200, 'woken']);
      const [fork] = await own.fork({ count: 1, timeoutMs: 300_000 });
      if (!(fork instanceof Sandbox)) throw new Error('there is no fork', { cause: fork });
      try {
        const answer = await fetch(`https://${fork.getHost(PORT)}/name`);
        expect([answer.status, await answer.text()]).toEqual([200, 'woken']);
      } finally {
        await fork.kill();
      }
    } finally {
      await own.kill();
    }
  });
});
