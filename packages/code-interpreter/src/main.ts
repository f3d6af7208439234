import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bashHost } from './hosts/bash/bash-host.ts';
import { javascriptHost } from './hosts/javascript/javascript-host.ts';
import { hasKernel, jupyterHost, kernelFolders } from './hosts/jupyter/jupyter-host.ts';
import { languagesOf } from './hosts/languages.ts';
import { pythonHost } from './hosts/python/python-host.ts';
import { rHost } from './hosts/r/r-host.ts';
import { startInterpreter } from './server.ts';

/** Of the SDK. */
const PORT = 49_999;
const HOME = '/home/user';

const here = dirname(fileURLToPath(import.meta.url));
const { env } = process;

const python = env.ISLET_PYTHON ?? '/usr/bin/python3';
const folders = kernelFolders(env.HOME ?? homedir(), env.JUPYTER_PATH);
const hosts = {
  python: pythonHost(python, join(here, 'python'), env.ISLET_PYTHON_WARM),
  javascript: javascriptHost(process.execPath, join(here, 'javascript'), 'javascript'),
  bash: bashHost(join(here, 'bash')),
  r: rHost(join(here, 'r')),
  typescript: javascriptHost(process.execPath, join(here, 'javascript'), 'typescript'),
};

const interpreter = await startInterpreter({
  languages: languagesOf(hosts, async (name) =>
    (await hasKernel(name, folders)) ? jupyterHost(python, join(here, 'jupyter'), name) : undefined,
  ),
  defaults: ['python', 'javascript'],
  home: existsSync(HOME) ? HOME : homedir(),
  env: Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  ),
  port: PORT,
  globalsUrl: 'http://localhost:49983/envs',
  generationFile: '/run/islet/generation',
  meminfoFile: '/proc/meminfo',
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void interpreter.close().then(() => process.exit(0)));
}
