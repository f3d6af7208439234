import { readFile } from 'node:fs/promises';
import { arch } from 'node:os';

/** The host's processor, as Linux and container images name it. What is not known is empty. */
export interface Processor {
  family: string;
  model: string;
  modelName: string;
  architecture: string;
}

/** Node's names of architectures where those of container images differ. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' };

export async function readProcessor(): Promise<Processor> {
  return parseProcessor(await readFile('/proc/cpuinfo', 'utf8'), arch());
}

/** Reads /proc/cpuinfo, of whose processors the first speaks for all. Arm's table names its fields otherwise. */
export function parseProcessor(table: string, nodeArch: string): Processor {
  const [first = ''] = table.trim().split('\n\n');
  const fields = new Map(
    first.split('\n').map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()] as const;
    }),
  );
  return {
    family: fields.get('cpu family') ?? fields.get('cpu architecture') ?? '',
    model: fields.get('model') ?? fields.get('cpu part') ?? '',
    modelName: fields.get('model name') ?? '',
    architecture: ARCHITECTURES[nodeArch] ?? nodeArch,
  };
}
