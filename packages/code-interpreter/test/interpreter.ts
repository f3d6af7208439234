import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Sandbox } from '@e2b/code-interpreter';
import { languagesOf, type MakeHost, pythonHost, startInterpreter } from '../src/index.ts';

const PYTHON = '/usr/bin/python3';
const HOST_FILES = fileURLToPath(new URL('../src/hosts/python/host', import.meta.url));

export const python = pythonHost(PYTHON, HOST_FILES);

/** An interpreter on a free port, and what is around it in a sandbox: envd's variables, the generation, a home. */
export interface TestInterpreter {
  url: string;
  /** Of the SDK, for this interpreter. */
  sandbox: Sandbox;
  home: string;
  /** What envd answers with. */
  envd: { status: number; body: string; requests: IncomingMessage[] };
  /** As when another copy of the sandbox goes on. */
  setGeneration(generation: string): Promise<void>;
  /** What is left of the sandbox's 2 GiB of memory, MiB. */
  setAvailableMemory(mib: number): Promise<void>;
  close(): Promise<void>;
}

export interface TestOptions {
  /** A file of Python that the first context has run, as in the template. */
  warm?: string;
  /** Languages beside Python. */
  others?: (name: string) => Promise<MakeHost | undefined>;
  /** Variables of all hosts beside the usual ones. */
  env?: Record<string, string>;
}

export async function startTestInterpreter({
  warm,
  others,
  env = {},
}: TestOptions = {}): Promise<TestInterpreter> {
  const directory = await mkdtemp(join(tmpdir(), 'islet-interpreter-'));
  const envd: TestInterpreter['envd'] = { status: 200, body: '{}', requests: [] };
  const envdServer = createServer((request, response) => {
    envd.requests.push(request);
    response.writeHead(envd.status).end(envd.body);
  });
  await new Promise<void>((resolve) => envdServer.listen(0, '127.0.0.1', resolve));
  const generationFile = join(directory, 'generation');
  const setGeneration = (generation: string) => writeFile(generationFile, generation);
  await setGeneration('first');
  const meminfoFile = join(directory, 'meminfo');
  const setAvailableMemory = (mib: number) =>
    writeFile(
      meminfoFile,
      `MemTotal:        2097152 kB\nMemFree:  1 kB\nMemAvailable:    ${mib * 1024} kB\n`,
    );
  await setAvailableMemory(1500);
  const interpreter = await startInterpreter({
    languages: languagesOf({ python: pythonHost(PYTHON, HOST_FILES, warm) }, others),
    defaults: ['python'],
    home: directory,
    env: { PATH: '/usr/bin:/bin', HOME: directory, LANG: 'C.UTF-8', ...env },
    port: 0,
    address: '127.0.0.1',
    globalsUrl: `http://127.0.0.1:${(envdServer.address() as AddressInfo).port}/envs`,
    generationFile,
    meminfoFile,
  });
  const url = `http://127.0.0.1:${interpreter.port}`;
  return {
    url,
    sandbox: await Sandbox.create({ debug: true, sandboxUrl: url }),
    home: directory,
    envd,
    setGeneration,
    setAvailableMemory,
    async close() {
      await interpreter.close();
      envdServer.closeAllConnections();
      await new Promise((resolve) => envdServer.close(resolve));
      await rm(directory, { recursive: true, force: true });
    },
  };
}
