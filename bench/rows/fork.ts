import { Sandbox } from 'e2b';
import type { InstanceAccess } from '../../e2e/setup/instance.ts';
import { forkSandbox, killSandbox } from '../islet/api.ts';
import { sdkOptions } from '../islet/sdk.ts';
import { inRounds } from '../pace/rounds.ts';
import type { Row } from './row.ts';

/** Forks asked for at once in the second measurement. */
const MANY = 10;

/** Keeps the longest time that it was not let run, in ms, in a file; it looks every millisecond. */
const WATCH_ITSELF = `python3 -c "
import os, time
longest, last = 0, time.monotonic()
while True:
    time.sleep(0.001)
    now = time.monotonic()
    if now - last > longest:
        longest = now - last
        open('/home/user/gap.new', 'w').write(str(longest * 1000))
        os.replace('/home/user/gap.new', '/home/user/gap')
    last = now
"`;

interface Forked {
  /** From the request to the answer. */
  ms: number;
  /** The longest time that a program of the original was not let run. */
  stoppedMs: number;
}

async function forkOnce(access: InstanceAccess, count: number): Promise<Forked> {
  const original = await Sandbox.create(sdkOptions(access));
  try {
    await original.commands.run(WATCH_ITSELF, { background: true, timeoutMs: 0 });
    await original.commands.run('until test -s /home/user/gap; do sleep 0.1; done');
    await original.commands.run('rm /home/user/gap && sleep 0.2');
    const { ids, ms } = await forkSandbox(access, original.sandboxId, count);
    const stoppedMs = Number(await original.files.read('/home/user/gap'));
    await Promise.all(ids.map((id) => killSandbox(access, id)));
    return { ms, stoppedMs };
  } finally {
    await original.kill();
  }
}

export const forkRow: Row = {
  name: 'fork',
  description: 'forks of an idle sandbox: until they serve, and how long the original stands still',
  async measure(context) {
    const { access, size } = context;
    const bare = await context.bare();
    const [one, many, restores]: [Forked[], number[], number[]] = [[], [], []];
    const pace = size === 'full' ? { rounds: 12, budgetMs: 90_000 } : { rounds: 2, budgetMs: 8_000 };
    await inRounds(pace, context, async () => {
      one.push(await forkOnce(access, 1));
      many.push((await forkOnce(access, MANY)).ms / MANY);
      const sandbox = await bare.prepare(context.signal);
      restores.push(await sandbox.restore());
      await sandbox.kill();
      await sandbox.remove();
    });
    const baseline = { what: 'runsc restore', samples: restores };
    return [
      { what: 'fork, one sandbox', samples: one.map(({ ms }) => ms), baseline },
      { what: `fork, ${MANY} at once, each`, samples: many, baseline },
      { what: 'fork, the original stands still', samples: one.map(({ stoppedMs }) => stoppedMs) },
    ].map((measured) => ({ row: 'fork', unit: 'ms' as const, targets: [], ...measured }));
  },
};
