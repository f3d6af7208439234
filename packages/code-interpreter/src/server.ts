import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Deadline } from '@islet/contracts';
import { Contexts } from './contexts/contexts.ts';
import type { Languages } from './hosts/languages.ts';
import { handle, REHEARSAL } from './http/routes.ts';
import { generationOfFile } from './sandbox/generation.ts';
import { globalsOfEnvd } from './sandbox/globals.ts';
import { readMemory, residentByGroup } from './sandbox/memory.ts';

/** Code of a client that came first may run for as long as it likes. */
const REHEARSAL_MS = 5_000;
/** Longer than the edge keeps a connection for the next request. */
const KEEP_ALIVE_MS = 640_000;

export interface InterpreterOptions {
  languages: Languages;
  /** Languages whose default contexts are there from the start; what cannot be started is left to the first who asks. */
  defaults: string[];
  /** Where contexts work that name no directory. */
  home: string;
  /** What hosts begin with. */
  env: Record<string, string>;
  /** 0 for any that is free. */
  port: number;
  /** All of the sandbox's if absent. */
  address?: string;
  /** Of envd's variables. */
  globalsUrl: string;
  /** See docs/clones.md. */
  generationFile: string;
  /** What the sandbox's memory is read from, in the form of `/proc/meminfo`. */
  meminfoFile: string;
}

export interface Interpreter {
  readonly port: number;
  close(): Promise<void>;
}

/** Serves the protocol of the code interpreter, once the default contexts are there. */
export async function startInterpreter(options: InterpreterOptions): Promise<Interpreter> {
  const globals = globalsOfEnvd(options.globalsUrl);
  const generation = generationOfFile(options.generationFile);
  const contexts = new Contexts({
    languages: options.languages,
    home: options.home,
    env: options.env,
    ...{ globals, generation },
    memory: { read: () => readMemory(options.meminfoFile), residentByGroup },
  });
  for (const language of options.defaults) {
    await contexts.default(language).catch((error: Error) => console.error(`${language}: ${error.message}`));
  }
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    void handle(contexts, request, response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.address ?? '0.0.0.0', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const stopRehearsal = generation.onChange(() => {
    stopRehearsal();
    void rehearse(port, options.defaults);
  });
  return {
    port,
    async close() {
      stopRehearsal();
      server.close();
      server.closeAllConnections();
      await contexts.close();
    },
  };
}

/**
 * In a copy of the sandbox that was made ahead: what is in memory has to be brought before it can be used, which the first client would
 * wait for. So the server asks itself for a run of each context that it began with. Later copies of it are somebody's, who is served already.
 */
async function rehearse(port: number, languages: readonly string[]): Promise<void> {
  for (const language of languages) {
    // Without it the first run is slower, and tells its client what is wrong.
    await rehearseIn(language, `http://127.0.0.1:${port}/execute`).catch(() => undefined);
  }
}

async function rehearseIn(language: string, url: string): Promise<void> {
  using deadline = new Deadline(REHEARSAL_MS);
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', [REHEARSAL]: 'yes' },
    body: JSON.stringify({ code: '1 + 1', language }),
    signal: deadline.signal,
  });
  await answer.text();
}
