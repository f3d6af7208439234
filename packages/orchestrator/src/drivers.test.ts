import type { DriverKind, SandboxDriver } from '@islet/driver';
import type { Exec } from '@islet/host';
import { createLogger } from '@islet/telemetry';
import { beforeEach, describe, expect, it } from 'vitest';
import { chooseDriver, openDrivers } from './drivers.ts';

let happened: string[];
beforeEach(() => {
  happened = [];
});

const noCommand: Exec = () => Promise.reject(new Error('nothing is run here'));
const host = { exec: noCommand, logger: createLogger({ service: 'test', level: 'silent' }) };
const site = { ...host, instance: 'ffffff', runtimeDir: '/nowhere', dataDir: '/nowhere' };

interface Traits {
  fits?: boolean;
  missing?: string;
  writesLayers?: boolean;
  opens?: boolean;
}

/** A kind whose drivers do nothing but to be opened and closed. */
function kind(
  name: string,
  { fits = true, missing, writesLayers = true, opens = true }: Traits = {},
): DriverKind {
  const found = {
    async open() {
      if (!opens) throw new Error(`${name} does not open`);
      happened.push(`open ${name}`);
      const close = async () => void happened.push(`close ${name}`);
      return { name, close } as Partial<SandboxDriver> as SandboxDriver;
    },
  };
  return {
    ...{ name, attachment: 'interface', volumes: 'seen', writesLayers },
    async find() {
      happened.push(`find ${name}`);
      if (missing !== undefined) throw new Error(missing);
      return found;
    },
    findIfFit: async () => (fits ? found : undefined),
  };
}

describe('the driver of a node', () => {
  it('is the one that was asked for, and no other is looked for', async () => {
    const { kind: chosen } = await chooseDriver([kind('first'), kind('second')], 'second', host);
    expect(chosen.name).toBe('second');
    expect(happened).toEqual(['find second']);
  });

  it('is the first that fits if any will do', async () => {
    const kinds = [kind('unfit', { fits: false }), kind('second'), kind('third')];
    expect((await chooseDriver(kinds, 'auto', host)).kind.name).toBe('second');
    await expect(chooseDriver(kinds.slice(0, 1), 'auto', host)).rejects.toThrow(/unfit fits this host/);
  });

  it('is refused with what is missing, and none takes its place', async () => {
    const kinds = [kind('first', { missing: 'a program is missing' }), kind('second')];
    await expect(chooseDriver(kinds, 'first', host)).rejects.toThrow('a program is missing');
    await expect(chooseDriver(kinds, 'third', host)).rejects.toThrow(/auto or one of first, second/);
  });
});

describe('the drivers of a node', () => {
  const open = async (kinds: DriverKind[], choice: string) =>
    openDrivers(kinds, await chooseDriver(kinds, choice, host), site);

  it('are one if builds can use that of the sandboxes', async () => {
    const drivers = await open([kind('only')], 'only');
    expect(drivers.builds).toBe(drivers.sandboxes);
    await drivers.close();
    expect(happened).toEqual(['find only', 'open only', 'close only']);
  });

  it('are another for builds if it does not write layers, which is closed last', async () => {
    const drivers = await open([kind('layerless', { writesLayers: false }), kind('builder')], 'layerless');
    expect([drivers.sandboxes.name, drivers.builds.name]).toEqual(['layerless', 'builder']);
    await drivers.close();
    expect(happened.filter((step) => !step.startsWith('find'))).toEqual([
      ...['open builder', 'open layerless'],
      ...['close layerless', 'close builder'],
    ]);
  });

  it('leave nothing open if one of them does not open', async () => {
    const kinds = [kind('broken', { writesLayers: false, opens: false }), kind('builder')];
    await expect(open(kinds, 'broken')).rejects.toThrow('broken does not open');
    expect(happened.at(-1)).toBe('close builder');
    await expect(open(kinds.slice(0, 1), 'broken')).rejects.toThrow(/can run the steps of builds/);
  });
});
