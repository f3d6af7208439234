import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { PORTS } from '@islet/contracts';
import { type SudoOptions, startDaemon } from './daemon.ts';
import { enterDisk } from './disk/disk.ts';
import { replaceBootId } from './init/boot-id.ts';
import { createIdentityFiles } from './init/identity.ts';
import { createLogger, type Logger, type LogLevel } from './log/logger.ts';
import { hasNoNewPrivileges, isInMemory } from './native/machine.ts';
import { createMounts } from './native/mounts.ts';
import { commandFor, frontScript, hasSudo, installFront, REAL_SUDO } from './privileges/front.ts';
import { SUDO_SOCKET } from './privileges/protocol.ts';
import { createProcessLimit, type ProcessLimit } from './process/process-limit.ts';

const { values } = parseArgs({
  options: {
    port: { type: 'string' },
    host: { type: 'string' },
    'identity-root': { type: 'string' },
    'forward-address': { type: 'string' },
    'log-level': { type: 'string' },
    'sudo-socket': { type: 'string' },
    'sudo-program': { type: 'string' },
    disk: { type: 'string' },
    'disk-used-mb': { type: 'string' },
    'most-processes': { type: 'string' },
  },
});

const isInit = process.pid === 1;
const mounts = createMounts();
const logger = createLogger({
  level: (values['log-level'] ?? process.env.ISLET_ENVD_LOG ?? 'warn') as LogLevel,
  write: (line) => process.stderr.write(line),
  now: Date.now,
});

survive(logger, isInit);
// Files and directories get the modes that clients expect, whatever this process inherited.
process.umask(0o022);
process.chdir('/');

try {
  if (values.disk !== undefined) {
    enterDisk({ disk: values.disk, usedMb: Number(values['disk-used-mb'] ?? 0), mounts });
  } else if (isInit) {
    putTmpOnDisk();
  }
  if (isInit) ownBootId();
  const daemon = await startDaemon({
    port: Number(values.port ?? process.env.ISLET_ENVD_PORT ?? PORTS.envd),
    host: values.host ?? '::',
    logger,
    path: process.env.PATH,
    identityRoot: values['identity-root'] ?? '',
    ownsMachine: isInit,
    ...(values['forward-address'] !== undefined && { forwardAddress: values['forward-address'] }),
    ...limitOption(),
    ...sudoOptions(),
  });
  logger.log('info', 'listening', { port: daemon.port });
  process.send?.({ port: daemon.port });
} catch (error) {
  logger.log('error', 'cannot start', { error });
  process.exit(1);
}

/**
 * gVisor mounts a file system in memory over an empty /tmp. What is written there would count as the sandbox's memory,
 * and end it if it is much.
 */
function putTmpOnDisk(): void {
  try {
    if (isInMemory(readFileSync('/proc/mounts', 'utf8'), '/tmp')) mounts.unmount('/tmp');
  } catch (error) {
    logger.log('warn', '/tmp stays in memory', { error });
  }
}

function ownBootId(): void {
  try {
    replaceBootId(mounts, createIdentityFiles(''));
  } catch (error) {
    logger.log('warn', 'clones will have the same boot id', { error });
  }
}

/** Without it the sandbox's memory and the host's limit are what ends a fork bomb, and the sandbox with it. */
function limitOption(): { limit?: ProcessLimit } {
  const most = values['most-processes'];
  if (most === undefined) return {};
  try {
    return { limit: createProcessLimit({ most: Number(most), mounts }) };
  } catch (error) {
    logger.log('warn', 'cannot limit processes', { error });
    return {};
  }
}

function sudoOptions(): { sudo?: SudoOptions } {
  const socket = values['sudo-socket'];
  const program = values['sudo-program'] ?? REAL_SUDO;
  if (socket !== undefined) return { sudo: { socket, program, installFront() {} } };
  if (!isInit) return {};
  const cmdline = readFileSync('/proc/self/cmdline', 'utf8');
  const script = frontScript(commandFor('sudo.mjs', cmdline, process.argv[1] ?? ''));
  return {
    sudo: {
      socket: SUDO_SOCKET,
      program,
      installFront() {
        try {
          installFront(hasSudo() && !hasNoNewPrivileges() ? undefined : script);
        } catch (error) {
          logger.log('warn', 'the front of sudo is not as it should be', { error });
        }
      },
    },
  };
}

/** No error of one request and no stray signal may end the sandbox. */
function survive(log: Logger, init: boolean): void {
  process.on('uncaughtException', (error) => log.log('error', 'uncaught exception', { error }));
  process.on('unhandledRejection', (error) => log.log('error', 'unhandled rejection', { error }));
  const harmless: NodeJS.Signals[] = [
    'SIGHUP',
    'SIGPIPE',
    'SIGALRM',
    'SIGUSR1',
    'SIGUSR2',
    'SIGWINCH',
    'SIGCONT',
  ];
  for (const signal of harmless) process.on(signal, () => {});
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    // The init process lives as long as its sandbox, which is ended from outside.
    process.on(signal, () => {
      if (!init) process.exit(0);
    });
  }
}
