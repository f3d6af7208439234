import { join } from 'node:path';
import { Deadline } from '@islet/contracts';
import { openInstance } from '../host/instance.ts';
import { readSecret } from '../host/secrets.ts';
import { type Administration, AdministrationError } from './administration.ts';
import { controlSocket, openRunning } from './open.ts';
import { readStatus } from './socket.ts';

/** A node as the API tells of it; what is shown of that. */
export interface NodeView {
  id: string;
  status: string;
  sandboxCount: number;
  version: string;
  metrics: { cpuCount: number; memoryTotalBytes: number };
}

export interface NodeDetailView extends NodeView {
  sandboxes: { sandboxID: string; templateID: string; state: string }[];
}

/** What an operator does to the nodes of a running API. */
export interface NodesControl {
  list(): Promise<NodeView[]>;
  show(id: string): Promise<NodeDetailView>;
  setStatus(id: string, status: string): Promise<void>;
  /** @param force also if it has sandboxes, or does not say */
  remove(id: string, force: boolean): Promise<void>;
}

const CALL_MS = 30_000;

/** Through the API of a data directory. Its methods throw AdministrationError with what to do. */
export async function openNodes(dataDir: string): Promise<NodesControl> {
  const administration: Pick<Administration, 'removeNode'> = await openRunning(dataDir);
  const instance = await openInstance(dataDir);
  const status = await readStatus(controlSocket(instance));
  const token = await readSecret(join(instance.dataDir, 'secrets', 'admin-token'));
  const call = async (method: 'GET' | 'POST', path: string, body?: unknown): Promise<unknown> => {
    using deadline = new Deadline(CALL_MS);
    const answer = await fetch(`${status?.apiUrl}${path}`, {
      method,
      headers: {
        'X-Admin-Token': token ?? '',
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: deadline.signal,
    });
    if (answer.status === 404) throw new AdministrationError('there is no such node: see `islet node list`');
    const text = await answer.text();
    if (!answer.ok) throw new AdministrationError((JSON.parse(text) as { message: string }).message);
    return text === '' ? undefined : JSON.parse(text);
  };
  const of = (id: string) => `/nodes/${encodeURIComponent(id)}`;
  const show = (id: string) => call('GET', of(id)) as Promise<NodeDetailView>;
  return {
    list: () => call('GET', '/nodes') as Promise<NodeView[]>,
    show,
    async setStatus(id, status) {
      await call('POST', of(id), { status });
    },
    async remove(id, force) {
      if (!force) {
        const { sandboxes, status } = await show(id);
        if (sandboxes.length > 0) {
          throw new AdministrationError(
            `${id} has ${sandboxes.length} sandboxes: drain it and wait for their end, or remove it with --force`,
          );
        }
        if (!['ready', 'draining', 'standby'].includes(status)) {
          throw new AdministrationError(
            `${id} is ${status} and does not say what it has: remove it with --force`,
          );
        }
      }
      await administration.removeNode({ name: id });
    },
  };
}
