import { existsSync } from 'node:fs';
import type { Run } from '../doctor/run.ts';
import { UNIT } from './unit.ts';

/** systemd has this folder where it is what started the machine. */
const RUNNING = '/run/systemd/system';

/** An orderly stop of many sandboxes takes this long at most, and the unit allows it. */
const STOP_MS = 200_000;

/** What systemd knows of the unit. */
export interface UnitState {
  /** The file that it was read from; undefined if there is none. */
  file: string | undefined;
  startsAtBoot: boolean;
  /** active, activating, failed, inactive and others of systemd's words. */
  active: string;
  /** running, auto-restart, dead and others. */
  sub: string;
  /** 0 if it does not run. */
  pid: number;
  /** Restarts after a crash. */
  restarts: number;
}

/** A command to systemd failed; the message says which and what systemd said. */
export class SystemdError extends Error {
  override readonly name = 'SystemdError';
}

export interface Systemd {
  state(): Promise<UnitState>;
  /** Reads units anew, has Islet start with the machine and starts it now, again if it runs. */
  enable(): Promise<void>;
  /** Stops Islet and what runs in it, and has it start no more. */
  disable(): Promise<void>;
  reload(): Promise<void>;
  /** The last lines of the service's journal. */
  journal(lines: number): Promise<string>;
}

/** @throws SystemdError if something else started this machine. */
export function openSystemd(run: Run): Systemd {
  if (!existsSync(RUNNING)) {
    throw new SystemdError(
      `systemd does not run this machine (${RUNNING} is not there). Have your own init run \`islet up\` as root when the machine starts, and again when it fails`,
    );
  }
  const systemctl = async (...args: string[]) => {
    const { code, stdout, stderr } = await run('systemctl', args, { timeoutMs: STOP_MS });
    if (code !== 0) throw new SystemdError(`systemctl ${args.join(' ')} failed: ${stderr.trim()}`);
    return stdout;
  };
  return {
    state: async () => parseState(await systemctl('show', UNIT, `--property=${PROPERTIES.join(',')}`)),
    async enable() {
      await systemctl('daemon-reload');
      await systemctl('enable', '--quiet', UNIT);
      await systemctl('restart', UNIT);
    },
    disable: async () => void (await systemctl('disable', '--quiet', '--now', UNIT)),
    reload: async () => void (await systemctl('daemon-reload')),
    async journal(lines) {
      const words = ['--unit', UNIT, '--lines', String(lines), '--output', 'cat', '--no-pager'];
      return (await run('journalctl', words)).stdout.trimEnd();
    },
  };
}

const PROPERTIES = ['FragmentPath', 'UnitFileState', 'ActiveState', 'SubState', 'MainPID', 'NRestarts'];

/** Reads what `systemctl show` says. */
export function parseState(text: string): UnitState {
  const values = Object.fromEntries(
    text.split('\n').map((line) => {
      const at = line.indexOf('=');
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
  return {
    file: values.FragmentPath || undefined,
    startsAtBoot: values.UnitFileState === 'enabled',
    active: values.ActiveState ?? 'unknown',
    sub: values.SubState ?? 'unknown',
    pid: Number(values.MainPID ?? 0),
    restarts: Number(values.NRestarts ?? 0),
  };
}
