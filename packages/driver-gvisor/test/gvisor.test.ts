import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type DriverTraits, driverContract } from '@islet/driver/contract';
import { CHECKPOINT_FILE, repairEpolls } from '../src/epoll-repairs.ts';
import { openGvisor } from '../src/gvisor.ts';
import { assertAllPages } from '../src/pages.ts';
import { nothingIn, readState } from '../src/state-file.ts';

const TRAITS: DriverTraits = {
  attachment: 'interface',
  patienceMs: 60_000,
  answerMs: 15_000,
  visibleMemory: 1,
  outOfMemory: 'told',
  fullDisk: 'told',
};

/** Does what packets do that come in while a sandbox is saved: what is ready in its epoll instances is not in their lists. */
async function tearEpolls(snapshotDir: string): Promise<void> {
  const file = join(snapshotDir, CHECKPOINT_FILE);
  const image = await readFile(file);
  readState(image, 'pkg/sentry/kernel.Kernel', {
    types: new Set(['pkg/sentry/vfs.EpollInstance']),
    onMap: () => undefined,
    onStruct(_object, _type, fields) {
      const list = fields.get('ready');
      if (list?.kind !== 'struct') return;
      for (const end of list.fields.values()) {
        if (end.kind !== 'reference' || !end.offsets) continue;
        for (const [index, byte] of nothingIn(end.offsets).entries())
          image[end.offsets[index] as number] = byte;
      }
    },
  });
  await writeFile(file, image);
}

driverContract('gvisor', TRAITS, async ({ instance, runtimeDir, exec, logger }) => {
  await mkdir(runtimeDir);
  const repair = async (snapshotDir: string) => {
    await assertAllPages(snapshotDir);
    await tearEpolls(snapshotDir);
    return repairEpolls(snapshotDir);
  };
  const checkpoints = { repair, close: async () => undefined };
  return openGvisor({ instance, runtimeDir, exec, logger, checkpoints });
});
