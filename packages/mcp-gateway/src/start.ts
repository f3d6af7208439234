import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Account, findAccount } from './accounts.ts';
import { parseConfig } from './config.ts';
import type { DaemonReport, DaemonSetup } from './daemon.ts';
import { GatewayError } from './gateway-error.ts';
import type { Places } from './servers/server.ts';

/** Where the SDK's `getMcpUrl()` points. */
const PORT = 50_005;
/** What `getMcpToken()` reads after a connect, as root. */
const TOKEN_DIR = '/etc/mcp-gateway';
const TOKEN_FILE = `${TOKEN_DIR}/.token`;
const PID_FILE = '/run/mcp-gateway.pid';
const LOG_FILE = '/var/log/mcp-gateway.log';
/** For the gateway of a snapshot to make room. */
const MAKE_ROOM_MS = 5_000;

/**
 * Starts the gateway with the servers of a configuration, and comes back when all of them answer. The gateway and its servers run as the
 * sandbox's user, so that their files are the user's.
 * @throws GatewayError that says what to do
 */
export async function start(config: string, token: string | undefined, program: string): Promise<void> {
  if (!token) throw new GatewayError('GATEWAY_ACCESS_TOKEN is not set: clients would have no token to bear');
  if (process.getuid?.() !== 0) throw new GatewayError('start it as root: it writes the token to /etc');
  const account = (await findAccount('user')) ?? { name: 'root', uid: 0, gid: 0, home: '/root' };
  const wanted = parseConfig(config, places(account, program));
  await endEarlier(program);
  await mkdir(TOKEN_DIR, { recursive: true, mode: 0o755 });
  await writeFile(TOKEN_FILE, token, { mode: 0o600 });
  await runAside({ ...wanted, token, port: PORT }, account, program);
}

function places({ home }: Account, program: string): Places {
  return { servers: join(dirname(program), 'servers'), repositories: join(home, '.mcp-servers'), home };
}

async function runAside(setup: DaemonSetup, account: Account, program: string): Promise<void> {
  const { name, uid, gid, home } = account;
  await using log = await open(LOG_FILE, 'a', 0o644);
  const child = spawn(process.execPath, [program, 'serve'], {
    ...{ uid, gid, cwd: home, detached: true },
    env: { PATH: process.env.PATH, LANG: 'C.UTF-8', HOME: home, USER: name, LOGNAME: name },
    stdio: ['ignore', log.fd, log.fd, 'ipc'],
  });
  child.send(setup);
  const report = await Promise.race([
    once(child, 'message').then(([message]) => message as DaemonReport),
    once(child, 'exit').then(([code, signal]) => ({
      error: `the gateway ended with ${signal ?? code} before it was ready: ${LOG_FILE} in the sandbox says why`,
    })),
  ]);
  if ('error' in report) throw new GatewayError(report.error);
  await writeFile(PID_FILE, String(child.pid));
  child.disconnect();
  child.unref();
}

/** A sandbox that begins from a snapshot may have the gateway of the one that was saved. */
async function endEarlier(program: string): Promise<void> {
  const pid = Number(await readFile(PID_FILE, 'utf8').catch(() => ''));
  const until = Date.now() + MAKE_ROOM_MS;
  let signal: NodeJS.Signals = 'SIGTERM';
  while (pid > 1 && (await isGateway(pid, program))) {
    if (Date.now() > until) signal = 'SIGKILL';
    process.kill(pid, signal);
    await pause(50);
  }
}

async function isGateway(pid: number, program: string): Promise<boolean> {
  const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
  return words.includes(program) && words.includes('serve');
}
