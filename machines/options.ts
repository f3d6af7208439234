import { parseArgs } from 'node:util';
import type { Accelerator } from './vm/qemu.ts';

export interface MachineTestOptions {
  /** Empty: all. */
  only: string[];
  list: boolean;
  json: boolean;
  help: boolean;
  cacheDir: string;
  accelerator: Accelerator;
  memoryMib: number;
  /** Machines get the Debian root file systems that an Islet of this host has made. */
  lendLayers: boolean;
}

/** What was asked for makes no sense. The message says what would. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const DEFAULT_CACHE_DIR = '/var/cache/islet-tests/machines';

/** @throws UsageError */
export function parseOptions(args: readonly string[]): MachineTestOptions {
  const values = parse(args);
  const accelerator = values.accel;
  if (accelerator !== 'kvm' && accelerator !== 'tcg') throw new UsageError('--accel is kvm or tcg');
  if (!/^[1-9]\d{2,6}$/.test(values.memory)) throw new UsageError('--memory is a number of MiB');
  return {
    only: values.only.flatMap((names) => names.split(',')).filter(Boolean),
    list: values.list,
    json: values.json,
    help: values.help,
    cacheDir: values.cache,
    accelerator,
    memoryMib: Number(values.memory),
    lendLayers: values['lend-layers'],
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        only: { type: 'string', multiple: true, default: [] },
        list: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        cache: { type: 'string', default: DEFAULT_CACHE_DIR },
        accel: { type: 'string', default: 'tcg' },
        'lend-layers': { type: 'boolean', default: false },
        memory: { type: 'string', default: '4096' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}
