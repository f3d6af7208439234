import type { Sandbox } from 'e2b';

/** What happens to a sandbox before each test: nothing, a pause and a resume, or that a fork takes its place. */
export type Mode = 'plain' | 'resumed' | 'forked';

const MODES: readonly Mode[] = ['plain', 'resumed', 'forked'];

/** @throws RangeError if the environment names another. */
export function currentMode(name = process.env.ISLET_E2E_MODE ?? 'plain'): Mode {
  const mode = MODES.find((each) => each === name);
  if (!mode) throw new RangeError(`ISLET_E2E_MODE is '${name}'; there are ${MODES.join(', ')}`);
  return mode;
}

/** The sandbox to go on with; `timeoutMs` is what it lives from now on where it is another one. */
export async function between(sandbox: Sandbox, mode: Mode, timeoutMs: number): Promise<Sandbox> {
  switch (mode) {
    case 'plain':
      return sandbox;
    case 'resumed':
      await sandbox.pause();
      return sandbox.connect({ timeoutMs });
    case 'forked': {
      const [fork] = await sandbox.fork({ timeoutMs });
      if (fork === undefined || fork instanceof Error) throw new Error('the fork failed', { cause: fork });
      await sandbox.kill();
      return fork;
    }
  }
}
