import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Undo } from '@islet/contracts';
import { Sandbox } from 'e2b';
import type { TestProject } from 'vitest/node';
import { freePorts } from '../../setup/processes.ts';
import { until } from '../../setup/until.ts';
import { APIS, Cluster, EDGES, type Way } from '../whole/cluster.ts';
import { Turns } from './turns.ts';

/** As `e2e/setup/islet.ts`, with two APIs, two edges and three nodes, whose APIs and edges take connections in turn. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const undo = new Undo();
  try {
    await start(project, undo);
  } catch (error) {
    throw await undo.after(error);
  }
  return () => undo.run();
}

async function start(project: TestProject, undo: Undo): Promise<void> {
  const [apiPort = 0, edgePort = 0] = await freePorts(2);
  const domain = `islet.localhost:${edgePort}`;
  const cluster = await Cluster.start((text) => console.info(text), { domain });
  undo.add('the cluster', () => cluster[Symbol.asyncDispose]());
  const ways = [cluster.way(APIS[0], EDGES[0]), cluster.way(APIS[1], EDGES[1])];
  const targets = (of: keyof Omit<Way, 'apiKey'>) =>
    ways.map((way) => {
      const { hostname: host, port } = new URL(way[of]);
      return { host, port: Number(port) };
    });
  for (const [of, port] of [
    ['apiUrl', apiPort],
    ['sandboxUrl', edgePort],
  ] as const) {
    const turns = await Turns.open(targets(of), port);
    undo.add('the port before the others', () => turns[Symbol.asyncDispose]());
  }
  const dataDir = cluster.dataDir('api-1');
  const secret = async (name: string) => (await readFile(join(dataDir, 'secrets', name), 'utf8')).trim();
  const urls = { apiUrl: `http://localhost:${apiPort}`, sandboxUrl: `http://localhost:${edgePort}` };
  const connection = { ...urls, apiKey: await secret('api-key') };
  const create = () => Sandbox.create('base', connection);
  for (const _ of APIS) await (await until('a sandbox is created', 60_000, create, () => true)).kill();
  // Each edge has an authority of its own.
  const authorities = await Promise.all(
    EDGES.map((edge) => readFile(join(cluster.dataDir(edge), 'https/authority.pem'), 'utf8')),
  );
  const authorityFile = join(dataDir, 'authorities.pem');
  await writeFile(authorityFile, authorities.join('\n'));
  const trust = { authorityFile, bundleFile: authorityFile };
  const pid = cluster.pidOf('api-1');
  project.provide('islet', {
    ...connection,
    accessToken: await secret('access-token'),
    dataDir,
    domain,
    trust,
    pid,
  });
  project.provide('cluster', { edgeDataDir: cluster.dataDir(EDGES[0]) });
  const { NODE_EXTRA_CA_CERTS } = process.env;
  process.env.NODE_EXTRA_CA_CERTS = authorityFile;
  undo.add('the trust', () => {
    if (NODE_EXTRA_CA_CERTS === undefined) delete process.env.NODE_EXTRA_CA_CERTS;
    else process.env.NODE_EXTRA_CA_CERTS = NODE_EXTRA_CA_CERTS;
  });
}
