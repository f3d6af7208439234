import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Sandbox } from 'e2b';
import type { TestProject } from 'vitest/node';
import { newDataDir, removeDataDir } from '../setup/instance.ts';
import { until } from '../setup/until.ts';
import { Roles } from './roles.ts';

/** As `e2e/setup/islet.ts`, with API, edge and node in processes of their own. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dir = await newDataDir();
  const roles = await Roles.start(dir);
  const { apiUrl, sandboxUrl } = roles;
  const secret = async (name: string) => (await readFile(join(dir, 'api/secrets', name), 'utf8')).trim();
  const [apiKey, accessToken] = [await secret('api-key'), await secret('access-token')];
  const connection = { apiUrl, sandboxUrl, apiKey };
  // The API serves before the node has built its template.
  const first = await until(
    'a sandbox is created',
    300_000,
    () => Sandbox.create('base', connection),
    () => true,
  );
  await first.kill();
  const https = join(dir, 'edge/https');
  const trust = { authorityFile: join(https, 'authority.pem'), bundleFile: join(https, 'bundle.pem') };
  const domain = `islet.localhost:${new URL(sandboxUrl).port}`;
  const pid = roles.pidOf('api');
  project.provide('islet', { ...connection, accessToken, dataDir: join(dir, 'api'), domain, trust, pid });
  const { NODE_EXTRA_CA_CERTS } = process.env;
  process.env.NODE_EXTRA_CA_CERTS = trust.authorityFile;
  return async () => {
    if (NODE_EXTRA_CA_CERTS === undefined) delete process.env.NODE_EXTRA_CA_CERTS;
    else process.env.NODE_EXTRA_CA_CERTS = NODE_EXTRA_CA_CERTS;
    await roles[Symbol.asyncDispose]();
    await removeDataDir(dir);
  };
}
