import { Sandbox } from 'e2b';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { type ControlPlane, newTeam } from '../setup/control-plane.ts';
import { ABUSES, FLOOD_PORT, serveFloods } from './abuses.ts';

const access = inject('islet');

/** What the neighbour wants done beside each abuse. */
const COMMANDS = 5;
const REQUESTS = 30;

/** One for each place that abuses aim at. `npm run bench -- --only neighbour` does all of them, and measures. */
const CHOSEN = new Set([
  'metadata of 60,000 keys',
  'pipelined requests to the API',
  '4,000 connections to the edge',
  'one-byte chunks down',
  'frames of one byte',
  'pauses and resumes',
]);

interface Side {
  api: ControlPlane;
  sandbox: Sandbox;
}

async function open(name: string): Promise<Side> {
  const api = await newTeam(access, name);
  const { apiUrl, sandboxUrl } = access;
  const options = { apiUrl, sandboxUrl, apiKey: api.key, timeoutMs: 600_000, requestTimeoutMs: 100_000 };
  const sandbox = await Sandbox.create(options);
  await serveFloods(sandbox);
  return { api, sandbox };
}

let loud: Side;
let quiet: Side;
beforeAll(async () => {
  [loud, quiet] = [await open('loud'), await open('quiet')];
});
afterAll(async () => {
  for (const { api, sandbox } of [loud, quiet]) {
    await api.kill(sandbox.sandboxId);
    await api[Symbol.asyncDispose]();
  }
});

it.each(ABUSES.filter(({ name }) => CHOSEN.has(name)))(
  'a neighbour gets all done beside $name',
  async (abuse) => {
    const { api, sandbox } = quiet;
    const stop = await abuse.begin(loud);
    try {
      // All of it is done before the abuse is: nobody waits for its end.
      const { sandboxID } = await api.create();
      await api.kill(sandboxID);
      for (let i = 0; i < COMMANDS; i++) {
        const { stdout } = await sandbox.commands.run(`echo ${i}`);
        expect(stdout).toBe(`${i}\n`);
      }
      for (let i = 0; i < REQUESTS; i++) {
        expect((await api.edge(sandbox.sandboxId, FLOOD_PORT, '/')).status).toBe(200);
      }
      expect((await api.call('GET', '/health', { key: null })).status).toBe(200);
    } finally {
      await stop();
    }
  },
);
