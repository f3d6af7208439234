import { randomBytes } from 'node:crypto';
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { FileSums } from '@islet/driver';
import {
  readSealed,
  type SnapshotFacts,
  type SnapshotStore,
  type StoredSnapshot,
  sealWithSums,
} from '@islet/snapshots';
import type { Logger } from '@islet/telemetry';
import { type Static, type TSchema, Type } from 'typebox';
import { Value } from 'typebox/value';
import type { RootFileSystems } from '../roots/root-file-systems.ts';
import { parseBuild } from '../templates/build.ts';

const Origin = {
  runtime: Type.Object({ name: Type.String(), digest: Type.String() }),
  guestDigest: Type.String(),
  rootfsDir: Type.String(),
  parentBuildId: Type.Optional(Type.String()),
  createdAt: Type.String(),
  files: Type.Record(Type.String(), Type.Object({ bytes: Type.Number(), crc32: Type.Number() })),
};
const Manifest = Type.Object({ version: Type.Literal(2), ...Origin });
const BuildManifest = Type.Object({
  ...{ version: Type.Literal(2), ...Origin, templateId: Type.String(), buildId: Type.String() },
});
const Record = Type.Object({
  version: Type.Literal(2),
  sandbox: Type.Object({
    state: Type.String(),
    executionId: Type.Optional(Type.String()),
  }),
  base: Type.Object({ rootfsDir: Type.String(), guestDigest: Type.String() }),
  run: Type.Union([Type.Null(), Type.Unknown()]),
});

export interface UpgradeContext {
  templatesDir: string;
  sandboxesDir: string;
  snapshots: SnapshotStore;
  roots: RootFileSystems;
  logger: Logger;
}

/**
 * Takes over what a version left that kept saved states beside what refers to them, by the paths of their root file systems. Nothing is
 * copied or read but manifests. May be cut off at any point and is gone through again then.
 */
export async function upgradeFromVersion2(context: UpgradeContext): Promise<void> {
  const builds = await countAll(context.templatesDir, (id) => upgradeBuild(id, context));
  const sandboxes = await countAll(context.sandboxesDir, (id) => upgradeSandbox(id, context));
  if (builds + sandboxes === 0) return;
  context.logger.info({ builds, sandboxes }, 'saved states of an earlier version were taken over');
}

/** How many of a directory's folders were upgraded. */
async function countAll(dir: string, upgrade: (id: string) => Promise<boolean>): Promise<number> {
  let count = 0;
  for (const entry of await readdir(dir, { withFileTypes: true }).catch(ifMissing([]))) {
    if (entry.isDirectory() && !entry.name.startsWith('.') && (await upgrade(entry.name))) count++;
  }
  return count;
}

async function upgradeBuild(buildId: string, context: UpgradeContext): Promise<boolean> {
  const { templatesDir, snapshots } = context;
  const dir = join(templatesDir, buildId);
  const old = await readAs(BuildManifest, join(dir, 'manifest.json'));
  if (old?.buildId !== buildId) return false;
  const snapshotDir = join(dir, 'snapshot');
  const facts = { ...(await factsOf(old, context)), subject: { kind: 'build', buildId } as const };
  const sealed = await sealEarlier(snapshotDir, facts, old.files);
  // Without it, this was cut off when all but the last step was done.
  if (sealed) {
    const { version, runtime, guestDigest, rootfsDir, files, ...rest } = old;
    const text = JSON.stringify(
      { ...rest, version: 3, needs: facts.needs, snapshot: sealed.digest },
      null,
      2,
    );
    if (!parseBuild(text)) return false;
    await writeWhole(join(templatesDir, `${buildId}.json`), text);
    await snapshots.put(snapshotDir, sealed.manifest, { sync: false });
  }
  await rm(dir, { recursive: true, force: true });
  return true;
}

async function upgradeSandbox(id: string, context: UpgradeContext): Promise<boolean> {
  const { roots, sandboxesDir, snapshots } = context;
  const dir = join(sandboxesDir, id);
  const file = join(dir, 'state.json');
  const old = await readAs(Record, file);
  if (!old) return false;
  const isPaused = old.run === null;
  const subject = { kind: 'sandbox', sandboxId: id, executionId: old.sandbox.executionId ?? '' } as const;
  // A state beside a sandbox that runs was started from, and is of no use any more.
  if (isPaused || old.sandbox.state === 'SANDBOX_STATE_PAUSING') {
    const saving = join(dir, 'saving');
    await rename(join(dir, 'snapshot.new'), saving).catch(ifMissing(undefined));
    const snapshotDir = join(dir, 'snapshot');
    for (const state of [saving, snapshotDir]) {
      const manifest = await readAs(Manifest, join(state, 'manifest.json'));
      if (manifest)
        await sealEarlier(state, { ...(await factsOf(manifest, context)), subject }, manifest.files);
    }
    const sealed = await readSealed(snapshotDir);
    if (sealed) await snapshots.put(snapshotDir, sealed.manifest, { sync: false });
  }
  const isItsOwn = ({ manifest }: StoredSnapshot) => isDeepStrictEqual(manifest.subject, subject);
  const saved = isPaused ? (await snapshots.list()).find(isItsOwn)?.digest : undefined;
  const { rootfsDir, guestDigest } = old.base;
  const base = { rootfs: await rootfsOf(rootfsDir, roots), guest: guestDigest };
  await writeWhole(file, JSON.stringify({ ...old, version: 3, base, ...(saved !== undefined && { saved }) }));
  return true;
}

/** Its files were summed by the version that wrote them. Undefined if the folder is not there. */
async function sealEarlier(
  dir: string,
  facts: SnapshotFacts,
  sums: FileSums,
): Promise<StoredSnapshot | undefined> {
  if ((await readdir(dir).catch(ifMissing(undefined))) === undefined) return undefined;
  await sealWithSums(dir, facts, sums);
  return readSealed(dir);
}

async function factsOf(
  { runtime, guestDigest, rootfsDir, createdAt, parentBuildId }: Omit<Static<typeof Manifest>, 'version'>,
  { roots }: UpgradeContext,
): Promise<Omit<SnapshotFacts, 'subject'>> {
  const needs = { runtime, guest: guestDigest, rootfs: await rootfsOf(rootfsDir, roots) };
  return { createdAt, needs, ...(parentBuildId !== undefined && { parentBuildId }) };
}

/** Its content was never summed, and may be gigabytes: it gets a name that nothing else has. */
async function rootfsOf(dir: string, roots: RootFileSystems): Promise<string> {
  const digest = roots.digestOf(dir) ?? randomBytes(32).toString('hex');
  using _held = roots.hold(digest);
  await roots.add({ digest, dir });
  return digest;
}

/** Undefined if there is no such file, or it is of another form. */
async function readAs<T extends TSchema>(schema: T, file: string): Promise<Static<T> | undefined> {
  const text = await readFile(file, 'utf8').catch(ifMissing(undefined));
  try {
    const value: unknown = JSON.parse(text ?? 'null');
    return Value.Check(schema, value) ? value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

async function writeWhole(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text, { flush: true, mode: 0o600 });
  await rename(`${file}.new`, file);
}

function ifMissing<T>(value: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return value;
    throw error;
  };
}
