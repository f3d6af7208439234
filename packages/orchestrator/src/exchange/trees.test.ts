import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HostExec, openHostExec } from '@islet/host';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Trees } from './trees.ts';

let base: string;
let host: HostExec;
let trees: Trees;
let store: Store;
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'islet-trees-'));
  await writeFile(join(base, 'file'), 'text');
  host = openHostExec();
  trees = new Trees({ exec: host.exec, workDir: base });
  store = new Store();
});
afterEach(async () => {
  host.close();
  await rm(base, { recursive: true, force: true });
});

/** Takes a tree when it is told to. */
class Store {
  readonly puts: string[] = [];
  readonly #has = new Set<string>();
  open = () => {};
  readonly #opened = new Promise<void>((resolve) => {
    this.open = resolve;
  });

  async hasTree(name: string): Promise<boolean> {
    return this.#has.has(name);
  }

  async putTree(name: string, _path: string, signal?: AbortSignal): Promise<void> {
    this.puts.push(name);
    await Promise.race([
      this.#opened,
      new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason))),
    ]);
    this.#has.add(name);
  }
}

const tree = () => ({ kind: 'roots', digest: 'root', dir: base }) as const;
const never = new AbortController().signal;

it('sends a directory once, however many wait for it', async () => {
  const sends = [1, 2, 3].map(() => trees.send(store, tree(), never));
  await expect.poll(() => store.puts).toHaveLength(1);
  store.open();
  await Promise.all(sends);
  expect(store.puts).toEqual(['roots-root']);
  expect((await readdir(base)).sort()).toEqual(['file']);
});

it('sends for those who wait what another gave up', async () => {
  const first = new AbortController();
  const given = expect(trees.send(store, tree(), first.signal)).rejects.toThrow('given up');
  await expect.poll(() => store.puts).toHaveLength(1);
  const second = trees.send(store, tree(), never);
  first.abort(new Error('given up'));
  await given;
  await expect.poll(() => store.puts).toHaveLength(2);
  store.open();
  await second;
});

it('waits for another no longer than its signal', async () => {
  const first = trees.send(store, tree(), never);
  await expect.poll(() => store.puts).toHaveLength(1);
  const impatient = new AbortController();
  const second = expect(trees.send(store, tree(), impatient.signal)).rejects.toThrow('too late');
  impatient.abort(new Error('too late'));
  await second;
  store.open();
  await first;
});
