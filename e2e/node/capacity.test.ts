import { Sandbox } from 'e2b';
import { expect, inject, it } from 'vitest';
import { VIRTUAL_MACHINES } from '../setup/isolation.ts';

const { apiUrl, sandboxUrl, apiKey } = inject('islet');
/** So many at once take a busy machine long. */
const PATIENCE_MS = 240_000;
const connection = { apiUrl, sandboxUrl, apiKey, requestTimeoutMs: PATIENCE_MS };
/** Without KVM each start of a virtual machine takes a core for the better part of a second. */
const COUNT = VIRTUAL_MACHINES ? 8 : 30;

it(`makes ${COUNT} sandboxes at once, and each of them works and is its own`, {
  timeout: 2 * PATIENCE_MS,
  tags: 'long',
}, async () => {
  const created = await Promise.allSettled(
    Array.from({ length: COUNT }, (_, index) =>
      Sandbox.create({ ...connection, envs: { INDEX: String(index) }, timeoutMs: 600_000 }),
    ),
  );
  const sandboxes = created.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  try {
    expect(created.filter(({ status }) => status === 'rejected')).toEqual([]);
    const outputs = await Promise.all(
      sandboxes.map(async (sandbox) => {
        await sandbox.files.write('/home/user/who', sandbox.sandboxId);
        const { stdout } = await sandbox.commands.run(
          'echo "$INDEX $(cat who) $(hostname)"; cat /etc/machine-id',
          { timeoutMs: 0 },
        );
        return stdout;
      }),
    );
    for (const [index, sandbox] of sandboxes.entries()) {
      expect(outputs[index]).toMatch(`${index} ${sandbox.sandboxId} ${sandbox.sandboxId}\n`);
    }
    // Clones of one snapshot: nothing that should be unique may be shared.
    expect(new Set(outputs.map((output) => output.split('\n')[1])).size).toBe(COUNT);
    const random = await Promise.all(
      sandboxes.map(async (sandbox) => {
        const { stdout } = await sandbox.commands.run(
          `python3 -c 'import os, random, uuid; print(os.urandom(16).hex(), random.random(), uuid.uuid4())'`,
          { timeoutMs: 0 },
        );
        return stdout.trim().split(' ');
      }),
    );
    expect(new Set(random.flat()).size).toBe(COUNT * 3);
  } finally {
    await Promise.all(sandboxes.map((sandbox) => sandbox.kill()));
  }
});
