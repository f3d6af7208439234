import { randomBytes } from 'node:crypto';
import { Sandbox, Volume } from 'e2b';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';

const { apiUrl, sandboxUrl, apiKey } = inject('islet');
const connection = { apiUrl, sandboxUrl, apiKey, requestTimeoutMs: 120_000 };
const content = { apiUrl };
const MOUNT = '/mnt/data';
const PATIENT = { timeout: 120_000, interval: 250 };

let volume: Volume;
let sandbox: Sandbox;
const made: string[] = [];
beforeAll(async () => {
  volume = await Volume.create(`v-${randomBytes(6).toString('hex')}`, connection);
  sandbox = await Sandbox.create('base', {
    ...connection,
    timeoutMs: 600_000,
    allowInternetAccess: false,
    volumeMounts: { [MOUNT]: volume },
  });
  made.push(sandbox.sandboxId);
});
afterAll(async () => {
  await Promise.all(made.map((id) => Sandbox.kill(id, connection)));
  await Volume.destroy(volume.volumeId, connection);
});
const said = async (where: Sandbox, command: string) =>
  (await where.commands.run(command, { timeoutMs: 120_000 })).stdout.trim();
const logged = async () => (await volume.readFile('/log', content)).length;

// What `e2e/sdk/volumes.test.ts` asks of all sandboxes is run on virtual machines by hand.
it('a volume stays with a machine through pauses and in forks, with what is open, and without any other network', async () => {
  await sandbox.commands.run(`exec 3>>${MOUNT}/log; while :; do echo tick >&3; sleep 0.2; done`, {
    background: true,
    timeoutMs: 0,
  });
  await expect.poll(() => logged().catch(() => 0), PATIENT).toBeGreaterThan(0);
  await sandbox.pause(connection);
  const before = await logged();
  await sandbox.connect(connection);
  await expect.poll(logged, PATIENT).toBeGreaterThan(before);

  const [fork] = await sandbox.fork({ ...connection, timeoutMs: 600_000 });
  if (!(fork instanceof Sandbox)) throw fork;
  made.push(fork.sandboxId);
  await said(fork, `echo fork > ${MOUNT}/f; chmod 600 ${MOUNT}/f; ln -s f ${MOUNT}/l`);
  const seen = `cat ${MOUNT}/f; stat -c '%a %U' ${MOUNT}/f; readlink ${MOUNT}/l`;
  expect(await said(sandbox, seen)).toBe('fork\n600 user\nf');
});

it('only a machine’s root speaks with the server of its volumes', async () => {
  const knock = `
import socket
try:
    print(socket.create_connection(("169.254.0.22", 2049), timeout=60).recv(1))
except OSError as error:
    print(type(error).__name__)
`;
  expect(await said(sandbox, `python3 -c '${knock}'`)).toBe('ConnectionResetError');
});
