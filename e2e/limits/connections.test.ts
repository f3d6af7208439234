import { readFile } from 'node:fs/promises';
import { Sandbox } from 'e2b';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openInternet, type StandIn } from '../node/internet.ts';
import { expectReaches, installProbe } from '../node/probe.ts';
import { newDataDir, type RunningInstance, removeDataDir, startInstance } from '../setup/instance.ts';
import { VIRTUAL_MACHINES } from '../setup/isolation.ts';
import { addressOnHost } from '../setup/machine.ts';

/** As docs/limits.md names it. */
const MOST_CONNECTIONS = 4096;

let internet: StandIn;
let dataDir: string;
let islet: RunningInstance;
beforeAll(async () => {
  internet = await openInternet();
  dataDir = await newDataDir();
  islet = await startInstance(dataDir);
});
afterAll(async () => {
  try {
    expect(await islet?.stop('SIGTERM')).toBe(0);
  } finally {
    await internet?.[Symbol.asyncDispose]();
    await removeDataDir(dataDir);
  }
});

/** Sends from a new port each time, three times as often as there may be connections. */
const floodScript = (target: string) => `python3 -c '
import socket
for _ in range(${3 * MOST_CONNECTIONS}):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("${target}", 9999))
        try:
            s.send(b"x")
        except OSError:
            pass
'`;

/** What the host's kernel remembers of a sandbox's connections. */
async function trackedOf(address: string): Promise<number> {
  const table = await readFile('/proc/net/nf_conntrack', 'utf8');
  return table.split('\n').filter((line) => line.includes(` src=${address} `)).length;
}

it('a sandbox fills its own share of the host’s connections and no other’s', {
  timeout: VIRTUAL_MACHINES ? 300_000 : 120_000,
}, async () => {
  const { apiUrl, sandboxUrl, apiKey } = islet.access;
  const connection = { apiUrl, sandboxUrl, apiKey, timeoutMs: 300_000 };
  const [flooding, neighbour] = await Promise.all([Sandbox.create(connection), Sandbox.create(connection)]);
  await Promise.all([flooding, neighbour].map(installProbe));
  const { a } = internet.addresses;
  await expectReaches(flooding, [['http', a, 80]], [true]);
  await flooding.commands.run(floodScript(a), { timeoutMs: 0 });
  const tracked = await trackedOf(await addressOnHost(islet.access.dataDir, flooding.sandboxId));
  expect(tracked).toBeGreaterThan(1000);
  // Beside them the few that the edge has with it.
  expect(tracked).toBeLessThanOrEqual(MOST_CONNECTIONS + 50);
  await expectReaches(neighbour, [['http', a, 80]], [true]);
  // Whoever is at the limit still answers.
  expect((await flooding.commands.run('echo here')).stdout).toBe('here\n');
  await Promise.all([flooding.kill(), neighbour.kill()]);
});
