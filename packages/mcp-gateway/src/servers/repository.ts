import { execFile } from 'node:child_process';
import { access, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { GatewayError } from '../gateway-error.ts';
import type { Places, ServerCommand } from './server.ts';

const run = promisify(execFile);

/** Of a clone and an installation together with nothing in a cache. The SDK's own patience with the command is a minute. */
const INSTALL_MS = 55_000;
const SHOWN_CHARACTERS = 2_000;
const OUTPUT_BYTES = 16 * 1024 * 1024;

const NAME = /^github\/([A-Za-z0-9][A-Za-z0-9-]{0,38})\/([A-Za-z0-9._-]{1,100})$/;

const Options = Type.Object(
  {
    runCmd: Type.String({ minLength: 1, maxLength: 10_000 }),
    installCmd: Type.Optional(Type.String({ minLength: 1, maxLength: 10_000 })),
    envs: Type.Optional(Type.Record(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' }), Type.String())),
  },
  { additionalProperties: false },
);

/** A server that is a git repository with a command to run it. */
export interface Repository {
  name: string;
  url: string;
  dir: string;
  installCommand: string | undefined;
  server: ServerCommand;
}

export const isRepository = (name: string) => name.startsWith('github/');

/** @throws GatewayError that names the option if it is wrong. */
export function repository(name: string, options: unknown, places: Places): Repository {
  const [, owner, repo] = NAME.exec(name) ?? [];
  if (!owner || !repo || repo === '.' || repo === '..') {
    throw new GatewayError(`"${name}" names no repository: "github/<owner>/<repository>" does`);
  }
  if (!Value.Check(Options, options)) {
    const [first] = Value.Errors(Options, options);
    throw new GatewayError(
      `the options of the server "${name}" are wrong: ${first ? `${first.instancePath} ${first.message}` : 'not an object'}`,
    );
  }
  const dir = join(places.repositories, owner, repo);
  return {
    name,
    url: `https://github.com/${owner}/${repo}.git`,
    dir,
    installCommand: options.installCmd,
    server: {
      name,
      command: '/bin/bash',
      args: ['-l', '-c', options.runCmd],
      env: options.envs ?? {},
      cwd: dir,
    },
  };
}

/**
 * Clones the repository and runs its installation, unless that was done before (in the template, or by an earlier gateway of the sandbox).
 * @throws GatewayError with the end of what git or the installation said.
 */
export async function installRepository({ name, url, dir, installCommand }: Repository): Promise<void> {
  if (await exists(dir)) return;
  const staged = `${dir}.new-${process.pid}`;
  try {
    await mkdir(join(dir, '..'), { recursive: true });
    const clone = ['clone', '--quiet', '--depth', '1', '--', url, staged];
    await attempt(name, `cloning ${url}`, 'git', clone, join(dir, '..'));
    if (installCommand) {
      await attempt(name, 'its installCmd', '/bin/bash', ['-l', '-c', installCommand], staged);
    }
    await rename(staged, dir);
  } finally {
    await rm(staged, { recursive: true, force: true });
  }
}

async function attempt(name: string, what: string, command: string, args: string[], cwd: string) {
  const env = { ...process.env, GIT_TERMINAL_PROMPT: '0' };
  try {
    await run(command, args, { cwd, env, timeout: INSTALL_MS, maxBuffer: OUTPUT_BYTES });
  } catch (error) {
    const { stderr = '', killed = false } = error as { stderr?: string; killed?: boolean };
    const why = killed ? `took longer than ${INSTALL_MS / 1000} s` : 'failed';
    const said = stderr.trim().slice(-SHOWN_CHARACTERS);
    throw new GatewayError(
      `the MCP server "${name}" cannot be installed: ${what} ${why}${said && `:\n${said}`}`,
      {
        cause: error,
      },
    );
  }
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );
