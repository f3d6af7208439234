import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Contexts } from './contexts/contexts.ts';
import type { Languages } from './hosts/languages.ts';
import { handle } from './http/routes.ts';
import { generationOfFile } from './sandbox/generation.ts';
import { globalsOfEnvd } from './sandbox/globals.ts';

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
}

export interface Interpreter {
  readonly port: number;
  close(): Promise<void>;
}

/** Serves the protocol of the code interpreter, once the default contexts are there. */
export async function startInterpreter(options: InterpreterOptions): Promise<Interpreter> {
  const contexts = new Contexts({
    languages: options.languages,
    home: options.home,
    env: options.env,
    globals: globalsOfEnvd(options.globalsUrl),
    generation: generationOfFile(options.generationFile),
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
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.close();
      server.closeAllConnections();
      await contexts.close();
    },
  };
}
