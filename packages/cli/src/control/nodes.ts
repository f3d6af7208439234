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
  /** Being started just now. */
  sandboxStartingCount: number;
  version: string;
  metrics: { cpuCount: number; memoryTotalBytes: number };
}

export interface NodeDetailView extends NodeView {
  sandboxes: { sandboxID: string; templateID: string; state: string }[];
}

/** What came of moving one sandbox away from a node. */
export type MoveAnswer =
  /** @param gapMs how long it did not answer; null if it was paused, and is */
  | { kind: 'moved'; nodeId: string; gapMs: number | null }
  | { kind: 'stays'; reason: string }
  /** It has ended, or is elsewhere already. */
  | { kind: 'gone' };

/** What an operator does to the nodes of a running API, and to its edges. */
export interface NodesControl {
  list(): Promise<NodeView[]>;
  show(id: string): Promise<NodeDetailView>;
  setStatus(id: string, status: string): Promise<void>;
  move(id: string, sandboxId: string): Promise<MoveAnswer>;
  /** @param force also if it has sandboxes, or does not say */
  remove(id: string, force: boolean): Promise<void>;
  removeEdge(name: string): Promise<void>;
}

const CALL_MS = 30_000;
/** A sandbox is saved, sent and started within it, each of which may take a minute. */
const MOVE_MS = 300_000;

/** Through the API of a data directory. Its methods throw AdministrationError with what to do. */
export async function openNodes(dataDir: string, secretsDir: string | undefined): Promise<NodesControl> {
  const administration: Pick<Administration, 'removeMember'> = await openRunning(dataDir);
  const instance = await openInstance(dataDir);
  const status = await readStatus(controlSocket(instance));
  const token = await readSecret(join(secretsDir ?? join(instance.dataDir, 'secrets'), 'admin-token'));
  const ask = async (method: 'GET' | 'POST', path: string, body?: unknown, limitMs = CALL_MS) => {
    using deadline = new Deadline(limitMs);
    const answer = await fetch(`${status?.apiUrl}${path}`, {
      method,
      headers: {
        'X-Admin-Token': token ?? '',
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: deadline.signal,
    }).catch((cause: unknown) => {
      throw new Error('the API does not answer: see that it runs, and repeat the command', { cause });
    });
    const text = await answer.text();
    return { status: answer.status, body: text === '' ? undefined : (JSON.parse(text) as unknown) };
  };
  const call = async (...asked: Parameters<typeof ask>): Promise<unknown> => {
    const { status, body } = await ask(...asked);
    if (status === 404) throw new AdministrationError('there is no such node: see `islet node list`');
    if (status >= 400) throw new AdministrationError((body as { message: string }).message);
    return body;
  };
  const of = (id: string) => `/nodes/${encodeURIComponent(id)}`;
  const show = (id: string) => call('GET', of(id)) as Promise<NodeDetailView>;
  return {
    list: () => call('GET', '/nodes') as Promise<NodeView[]>,
    show,
    async setStatus(id, status) {
      await call('POST', of(id), { status });
    },
    async move(id, sandboxId) {
      const path = `${of(id)}/sandboxes/${encodeURIComponent(sandboxId)}/move`;
      const { status, body } = await ask('POST', path, undefined, MOVE_MS);
      if (status === 404) return { kind: 'gone' };
      if (status >= 400) return { kind: 'stays', reason: (body as { message: string }).message };
      const { nodeID, gapMs } = body as { nodeID: string; gapMs: number | null };
      return { kind: 'moved', nodeId: nodeID, gapMs };
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
      await administration.removeMember({ role: 'node', name: id });
    },
    async removeEdge(name) {
      await administration.removeMember({ role: 'edge', name });
    },
  };
}
