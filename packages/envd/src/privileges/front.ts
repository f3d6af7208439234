import { chmodSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { posix } from 'node:path';

/** The program that stands behind. */
export const REAL_SUDO = '/usr/bin/sudo';
/** Comes before the real one in every PATH, and survives its upgrades. */
export const SUDO_FRONT = '/usr/local/bin/sudo';

const MARK = '# Put here by the sandbox daemon';

/** The script in front of sudo. `command` is how Node runs the bundled front. */
export function frontScript(command: readonly string[]): string {
  const quoted = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  return [
    '#!/bin/sh',
    `${MARK}: the daemon starts sudo for those who may, and stands in for it if there is none.`,
    `[ -O / ] && [ -x ${REAL_SUDO} ] && exec ${REAL_SUDO} "$@"`,
    `exec ${quoted} "$@"`,
    '',
  ].join('\n');
}

/** How this very daemon was started, with another script: through its own loader if there is one. */
export function commandFor(script: string, cmdline: string, mainScript: string): string[] {
  const words = cmdline.split('\0');
  const at = words.indexOf(mainScript);
  const runner = at > 0 ? words.slice(0, at) : [process.execPath];
  return [...runner, posix.join(posix.dirname(mainScript), script)];
}

export function hasSudo(root = ''): boolean {
  return statSync(root + REAL_SUDO, { throwIfNoEntry: false })?.isFile() ?? false;
}

/**
 * Puts the script in place if there is nobody else's file, or takes it away again: templates are built on one kernel and may
 * run on another.
 * @param script undefined if the real sudo works by itself
 */
export function installFront(script: string | undefined, root = ''): void {
  const path = root + SUDO_FRONT;
  const existing = statSync(path, { throwIfNoEntry: false }) ? readFileSync(path, 'utf8') : undefined;
  if (existing === script || (existing !== undefined && !existing.includes(MARK))) return;
  if (script === undefined) {
    unlinkSync(path);
    return;
  }
  writeFileSync(path, script, { mode: 0o755 });
  chmodSync(path, 0o755);
}
