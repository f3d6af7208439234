import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runIslet } from '../setup/command.ts';

const CONFIG = '/etc/islet/islet.conf';
const checkout = resolve(import.meta.dirname, '../..');

/** What a service does on a machine that systemd has started is tested on machines of their own: docs/testing.md. */
describe('islet service', () => {
  it('shows the files that an installation would write, and writes none', async () => {
    const before = await readFile(CONFIG, 'utf8').catch(() => undefined);
    const { code, stdout } = await runIslet([
      'service',
      'install',
      '--print',
      '--json',
      '--api-port',
      '3999',
    ]);
    const plan = JSON.parse(stdout.split('\n').at(-2) ?? '');
    expect(code).toBe(0);
    expect(plan).toMatchObject({
      program: `${checkout}/islet`,
      unit: { text: expect.stringContaining(`ExecStart="${checkout}/islet" up`) },
      config: { path: CONFIG, text: expect.stringMatching(/^ISLET_API_PORT=3999$/m) },
    });
    expect(await readFile(CONFIG, 'utf8').catch(() => undefined)).toBe(before);
  });

  it('refuses options that a start would refuse', async () => {
    const { code, stderr } = await runIslet(['service', 'install', '--print', '--api-port', 'many']);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/API_PORT must be a port/) });
  });

  it.skipIf(existsSync('/run/systemd/system'))(
    'says what to do on a machine that systemd has not started',
    async () => {
      for (const words of [['install', '--no-install'], ['status'], ['uninstall']]) {
        const { code, stderr } = await runIslet(['service', ...words]);
        expect({ code, stderr }).toEqual({
          code: 1,
          stderr: expect.stringMatching(/systemd does not run this machine.*own init run `islet up` as root/),
        });
      }
      expect(existsSync('/etc/systemd/system/islet.service')).toBe(false);
    },
  );
});
