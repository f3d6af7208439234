import { readFile } from 'node:fs/promises';
import { Sandbox } from 'e2b';
import { describe, expect, inject, it } from 'vitest';
import type { SandboxBody } from './setup/control-plane.ts';
import { until } from './setup/until.ts';

const { apiUrl, sandboxUrl, apiKey } = inject('islet');

/** The key and the body of the README's curl line. */
async function readCurlLine(): Promise<{ key: string; body: string }> {
  const text = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const [, key, body] = /-H 'X-API-Key: (\S+)' \\\s+-d '(.+)'/.exec(text) ?? [];
  if (!key || !body) throw new Error('the README has no curl line');
  return { key, body };
}

describe('what the README promises', () => {
  // What curl sends with -d, and what whoever names JSON sends.
  it.each(['application/x-www-form-urlencoded', 'application/json'])(
    'answers the curl line, as %s, with a sandbox that works',
    async (type) => {
      const { key, body } = await readCurlLine();
      const response = await fetch(`${apiUrl}/sandboxes`, {
        method: 'POST',
        headers: { 'Content-Type': type, 'X-API-Key': key },
        body,
      });
      expect(response.status).toBe(201);
      const { sandboxID, envdAccessToken } = (await response.json()) as SandboxBody;
      expect(envdAccessToken).toMatch(/^[0-9a-f]{64}$/);
      const sandbox = await Sandbox.connect(sandboxID, { apiUrl, sandboxUrl, apiKey });
      expect((await sandbox.commands.run('echo works')).stdout).toBe('works\n');
      expect(await sandbox.kill()).toBe(true);
    },
  );

  it('runs the script: Python, a file, a web server', async () => {
    const sandbox = await Sandbox.create({ apiUrl, sandboxUrl, apiKey });
    try {
      const { stdout } = await sandbox.commands.run('python3 -c "print(6 * 7)"');
      expect(stdout).toBe('42\n');
      await sandbox.files.write('/home/user/index.html', '<h1>Hello from a sandbox</h1>');
      expect(await sandbox.files.read('/home/user/index.html')).toBe('<h1>Hello from a sandbox</h1>');
      await sandbox.commands.run('python3 -m http.server 8000', { background: true, cwd: '/home/user' });
      const page = await until(
        'the server serves',
        10_000,
        () => fetch(`http://${sandbox.getHost(8000)}/`),
        ({ status }) => status === 200,
      );
      expect(await page.text()).toContain('Hello from a sandbox');
    } finally {
      await sandbox.kill();
    }
  });
});
