import type * as FileSystem from 'node:fs/promises';
import { NodeProcess } from './process.ts';

const CHANGES = ['mkdir', 'rename', 'rm', 'writeFile'] as const;
const LOOKS = ['readFile', 'readdir', 'stat', 'statfs'] as const;

type Call = (...args: unknown[]) => Promise<unknown>;

/** The file system as a simulated node sees it: the real one, each change of which is a step at which something may go wrong. */
export function faultyFiles(real: typeof FileSystem): typeof FileSystem {
  const calls = real as unknown as Record<string, Call>;
  const through = (name: string, pass: (process: NodeProcess, effect: () => Promise<unknown>) => unknown) => [
    name,
    (...args: unknown[]) => {
      const process = NodeProcess.current();
      const effect = () => (calls[name] as Call)(...args);
      return process ? pass(process, () => process.track(effect())) : effect();
    },
  ];
  return {
    ...real,
    ...Object.fromEntries([
      ...CHANGES.map((name) => through(name, (process, effect) => process.step(`files.${name}`, effect))),
      ...LOOKS.map((name) => through(name, (process, effect) => process.look(effect))),
      through('open', (process, effect) =>
        process.look(async () => {
          const handle = (await effect()) as FileSystem.FileHandle;
          // A process that was killed holds nothing open.
          if (!process.isAlive) await handle.close();
          return handle;
        }),
      ),
    ]),
  };
}
