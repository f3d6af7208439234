import { readFile, stat } from 'node:fs/promises';
import { findApiSecret, keepApiSecrets } from '../cluster/api-secrets.ts';
import { JoinError, type Joined, joinCluster } from '../cluster/join.ts';
import { type JoinToken, readJoinToken } from '../cluster/join-token.ts';
import { keepMembership, readMembership } from '../cluster/membership.ts';
import { type Command, defineCommand } from '../command-line/command.ts';
import { INSTALL_FLAG } from '../command-line/flags.ts';
import { loadNodeId } from '../host/node-id.ts';
import { OPTIONS } from '../options/options.ts';
import { OptionError, readOption, requireOption } from '../options/spec.ts';
import { claimHost } from '../up/claim.ts';
import { apiCommand } from './api.ts';
import { edgeCommand } from './edge.ts';
import type { CommandIo } from './io.ts';
import { nodeCommand } from './node.ts';

const MOST_TOKEN_BYTES = 4_096;

/** `islet join`. */
export function joinCommand(io: CommandIo): Command {
  return defineCommand(io, {
    summary: 'Make this machine a member of a cluster, with a token of `islet token create`',
    words: {
      token: {
        meaning:
          'The token. Without it and --token-file it is read from standard input, where no one sees it',
        isOptional: true,
      },
    },
    flags: {
      'token-file': { kind: 'text', hint: 'file', description: 'A file that holds the token' },
      name: {
        kind: 'text',
        hint: 'name',
        description:
          'What the cluster is to call this machine (default that of its data directory, or its host name)',
      },
      labels: {
        kind: 'list',
        hint: 'name=value,…',
        description: 'What there is to say of the machine, for placement',
      },
      start: { kind: 'switch', description: 'Start what it has become right away, in the foreground' },
      json: { kind: 'switch', description: 'Print one JSON object a line' },
      install: INSTALL_FLAG,
    },
    options: ['dataDir', 'advertise'],
    async run({ words, flags, sources }) {
      const dataDir = requireOption(OPTIONS.dataDir, sources);
      const token = parseToken(await tokenText(io, words.token, flags['token-file']));
      const labels = parseLabels(flags.labels);
      // Nothing that runs on the data directory is to find itself in a cluster.
      const joined = await (async () => {
        await using claim = await claimHost(dataDir, []);
        const { instance } = claim;
        await refuseTwice(instance.dataDir, token.role);
        const name = flags.name ?? (await loadNodeId(instance.dataDir));
        const advertise = readOption(OPTIONS.advertise, sources);
        const joined = await joinCluster({ token, name, advertise, labels });
        if ('secrets' in joined) await keepApiSecrets(instance.dataDir, joined.secrets);
        else await keepMembership(instance.dataDir, joined.membership);
        return { name, api: token.api, ...joined };
      })();
      tell(io, joined, flags);
      if (!flags.start) return;
      const { role, advertise } = joined;
      const commands = {
        api: () => apiCommand(io),
        edge: () => edgeCommand(io),
        node: () => nodeCommand(io).itself,
      };
      await commands[role]().run([
        ...['--data-dir', dataDir, ...(flags.json ? ['--json'] : [])],
        ...(role === 'api' ? ['--advertise', advertise] : []),
      ]);
    },
  });
}

async function tokenText(io: CommandIo, word: string | undefined, file: string | undefined): Promise<string> {
  if (word !== undefined && file !== undefined) {
    throw new OptionError('TOKEN and --token-file exclude each other: give one of them');
  }
  if (word !== undefined) return word;
  if (file !== undefined) {
    if ((await stat(file)).size > MOST_TOKEN_BYTES)
      throw new OptionError(`${file} is too large to be a token`);
    return readFile(file, 'utf8');
  }
  if (process.stdin.isTTY) io.print('Paste the token, and press Enter:');
  return firstLine(process.stdin);
}

async function firstLine(input: NodeJS.ReadStream): Promise<string> {
  let text = '';
  for await (const piece of input.setEncoding('utf8')) {
    text += piece;
    if (text.includes('\n') || text.length > MOST_TOKEN_BYTES) break;
  }
  return text.split('\n')[0] ?? '';
}

function parseToken(text: string): JoinToken {
  try {
    return readJoinToken(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new OptionError(`the token ${error.message}`, { cause: error });
  }
}

function parseLabels(parts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    parts.map((part) => {
      const [, name, value] = /^([A-Za-z0-9._/-]{1,64})=([^,]{0,256})$/.exec(part) ?? [];
      if (name === undefined || value === undefined) {
        throw new OptionError(`--labels takes name=value,…, not "${part}"`);
      }
      return [name, value];
    }),
  );
}

async function refuseTwice(dataDir: string, role: JoinToken['role']): Promise<void> {
  const known = await readMembership(dataDir);
  const secret = role === 'api' ? await findApiSecret(dataDir) : undefined;
  if (secret !== undefined) {
    throw new JoinError(
      `${secret} is of an API: the secrets of the cluster would take its place. Give another --data-dir, or move that away`,
    );
  }
  if (!known) return;
  throw new JoinError(
    `${dataDir} is of a machine that has joined already, as ${known.role} of the cluster at ${known.api}. ` +
      `To have it join anew, remove ${dataDir}/secrets/cluster-member`,
  );
}

function tell(
  io: CommandIo,
  { name, api, ...joined }: { name: string; api: string } & Joined,
  { json, start }: { json: boolean; start: boolean },
): void {
  const { role, advertise } = joined;
  if (json) {
    const labels = 'membership' in joined ? joined.membership.labels : {};
    io.print(JSON.stringify({ event: 'joined', role, name, api, advertise, labels }));
    return;
  }
  io.print(`Joined the cluster at ${api} as ${role} ${name}; others reach it at ${advertise}.`);
  if (start) return;
  if (role !== 'api') io.print(`Start it with: ./islet ${role}`);
  else
    io.print(
      `Start it with the DATABASE_URL and ISLET_REDIS_URL of the first API: ./islet api --advertise ${advertise}`,
    );
}
