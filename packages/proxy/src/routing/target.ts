import { isIP } from 'node:net';
import {
  invalidHost,
  invalidSandboxId,
  invalidSandboxPort,
  isSandboxId,
  parseSandboxId,
  routingHeaderMissing,
} from '@islet/contracts';

/** The sandbox and the port in it that a request is for. */
export interface Target {
  sandboxId: string;
  port: number;
}

/** The parts of a request that may name its target. */
export interface TargetHints {
  /** The Host header or `:authority`, as received. */
  host: string | undefined;
  /** `E2b-Sandbox-Id`. */
  sandboxId: string | undefined;
  /** `E2b-Sandbox-Port`. */
  port: string | undefined;
}

export const SANDBOX_ID_HEADER = 'e2b-sandbox-id';
export const SANDBOX_PORT_HEADER = 'e2b-sandbox-port';

const HOST = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{0,5})?$/i;
const DECIMAL = /^\d+$/;

function parsePort(text: string): number {
  const port = DECIMAL.test(text) && text.length <= 5 ? Number(text) : 0;
  if (port < 1 || port > 65535) throw invalidSandboxPort();
  return port;
}

/** A host on which the routing headers decide: one that can name no sandbox itself. */
function isHeaderHost(name: string): boolean {
  return name === 'localhost' || name.startsWith('sandbox.') || isIP(name.replace(/^\[|\]$/g, '')) !== 0;
}

function fromHeaders(hints: TargetHints): Target | undefined {
  if (hints.sandboxId === undefined && hints.port === undefined) return undefined;
  if (hints.sandboxId === undefined || hints.port === undefined) throw routingHeaderMissing();
  return { sandboxId: parseSandboxId(hints.sandboxId), port: parsePort(hints.port) };
}

/**
 * Finds out which sandbox and port a request is for.
 *
 * `<port>-<sandboxID>[-<legacy>].<domain>` names both and always wins. Everywhere else (localhost, IP literals,
 * `sandbox.<domain>`, a container's service name) the two routing headers decide.
 *
 * @returns undefined if the host can name no sandbox and there are no headers either.
 * @throws IsletError 400 with the protocol's text if a target is named badly.
 */
export function parseTarget(hints: TargetHints): Target | undefined {
  const host = hints.host ?? '';
  const match = HOST.exec(host);
  if (host !== '' && !match) throw invalidHost();
  const name = match?.[1]?.toLowerCase() ?? '';
  if (name === '' || isHeaderHost(name)) return fromHeaders(hints);

  // The id keeps its case: `[a-z0-9]` is checked as received.
  const label = host.slice(0, host.indexOf('.'));
  const [port, sandboxId] = label.split('-');
  if (!host.includes('.') || port === undefined || sandboxId === undefined) return fromHeaders(hints);
  if (!DECIMAL.test(port)) {
    const target = fromHeaders(hints);
    if (target) return target;
    throw invalidSandboxPort();
  }
  if (!isSandboxId(sandboxId)) throw invalidSandboxId();
  return { sandboxId, port: parsePort(port) };
}
