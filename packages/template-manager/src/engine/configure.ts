import type { Stats } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { kindOf, walk } from '../inside/tree.ts';
import { isWhiteout } from '../layers/overlay-marks.ts';
import type { Draft } from './draft.ts';
import type { LayerMaker } from './layer-maker.ts';
import type { LayerStack } from './layer-stack.ts';
import { accountOf, placeIn } from './stack-view.ts';
import type { SandboxSize } from './workspace.ts';

/** Counts up if what is done becomes something else: templates that are built then get it. */
const REVISION = 2;

/** The default user of every template. */
const USER = 'user';
/** Folders that everybody may install into. */
const OPEN_FOLDERS = ['usr/local', 'code'];
/** What says who the user is and what he may do, below /etc. */
const ACCOUNT_FILES = ['passwd', 'group', 'sudoers.d'];

/** Of more files the sandbox finds it out: they would keep this process busy. */
const MOST_LOOKED_AT = 20_000;

export interface Configuring {
  maker: LayerMaker;
  /** Begun beside the first sandbox; undefined if the build makes none. */
  draft: Draft | undefined;
  /** What the template is built on, to which this was done before. */
  base: LayerStack;
  size: SandboxSize;
}

/** What every template gets last: its default user, and folders that everybody may install into. */
export async function configured(
  { maker, draft, base, size }: Configuring,
  stack: LayerStack,
  signal: AbortSignal,
): Promise<LayerStack> {
  await using layer = await maker.open(
    stack,
    {
      parts: ['configure', REVISION],
      phase: 'finalize',
      description: { step: 'configure' },
      onWait: () => {},
      size,
    },
    signal,
  );
  const { workspace } = layer;
  if (workspace && !(await isStillConfigured(base.dirs, stack.dirs))) {
    draft?.begin();
    await workspace.run([{ kind: 'configure', user: USER }], signal);
  }
  return await layer.keep();
}

/**
 * Whether the layers on a configured base have left it so: true saves the sandbox that would find that out. Whatever is unusual,
 * such as a home elsewhere, is left to the sandbox.
 * @param base the directories of the base, the lowest first
 * @param stack those of the base and of the layers on it
 */
export async function isStillConfigured(base: readonly string[], stack: readonly string[]): Promise<boolean> {
  if (base.some((dir, index) => stack[index] !== dir)) return false; // merged since
  const layers = stack.slice(base.length);
  for (const layer of layers) {
    for (const file of ACCOUNT_FILES) if (!(await isUntouched(layer, `etc/${file}`))) return false;
  }
  const account = await accountOf(base, USER);
  if (account?.home !== `/home/${USER}`) return false;
  const { uid, gid } = account;
  for (const layer of layers) {
    const owned = await isAll(layer, `home/${USER}`, (stat) => stat.uid === uid && stat.gid === gid);
    if (!owned) return false;
    for (const folder of OPEN_FOLDERS) {
      const open = await isAll(
        layer,
        folder,
        (stat) => stat.isSymbolicLink() || (stat.mode & 0o777) === 0o777,
      );
      if (!open) return false;
    }
  }
  return true;
}

/** Whether everything that a layer holds at and below `path`, which is a folder, is as `isRight` wants it. */
async function isAll(layer: string, path: string, isRight: (stat: Stats) => boolean): Promise<boolean> {
  const place = await placeIn(layer, path);
  if (place !== 'there') return place === 'untouched';
  const top = join(layer, path);
  if ((await kindOf(top)) !== 'directory') return false;
  let looked = 0;
  for await (const entry of walk(top)) {
    if (++looked > MOST_LOOKED_AT) return false;
    const stat = await lstat(entry);
    if (!isWhiteout(stat) && !isRight(stat)) return false;
  }
  return true;
}

async function isUntouched(layer: string, path: string): Promise<boolean> {
  return (await placeIn(layer, path)) === 'untouched';
}
