import { Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { create } from '@bufbuild/protobuf';
import { ALWAYS_DENIED, invalidEgressProxy, orchestratorProto, parseNetworkList } from '@islet/contracts';

export interface ProxyRequest {
  address?: string;
  username?: string;
  password?: string;
}

const MOST_BYTES = 255;

/** Of one question to one server, ms. */
const QUESTION_MS = 2_000;

const denied = parseNetworkList([...ALWAYS_DENIED, '::/128', '::1/128', 'fc00::/7', 'fe80::/10', 'ff00::/8']);

/**
 * The customer's proxy as it was asked for; `checkEgressProxy` says whether it may be used.
 * @throws IsletError 400 with the protocol's message
 */
export function parseEgressProxy(
  request: ProxyRequest | undefined,
): orchestratorProto.EgressProxy | undefined {
  if (!request) return undefined;
  const { host, port } = splitAddress((request.address ?? '').trim().toLowerCase());
  const { username = '', password = '' } = request;
  if (username === '' && password !== '') {
    throw invalidEgressProxy('egress proxy password must be empty when username is empty');
  }
  for (const [name, value] of Object.entries({ username, password })) {
    if (Buffer.byteLength(value) > MOST_BYTES) {
      throw invalidEgressProxy(`egress proxy ${name} must not exceed ${MOST_BYTES} bytes`);
    }
  }
  return create(orchestratorProto.EgressProxySchema, {
    address: isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`,
    ...(username !== '' && { username }),
    ...(password !== '' && { password }),
  });
}

/**
 * Looks up where a proxy is. The gateway does so again each time that it dials it.
 * @throws IsletError 400 if it is nowhere, or where no sandbox may reach
 */
export async function checkEgressProxy(proxy: orchestratorProto.EgressProxy | undefined): Promise<void> {
  if (!proxy) return;
  const { host } = splitAddress(proxy.address);
  const addresses = isIP(host) === 0 ? await resolve(host) : [host];
  const refused = addresses.find((address) => denied.include(address));
  if (refused !== undefined) {
    throw invalidEgressProxy(
      `egress proxy endpoint resolves to an internal / denied IP range: ${host} resolves to ${refused}`,
    );
  }
  if (isIP(host) === 6) {
    throw invalidEgressProxy(`resolve egress proxy host "${host}": sandboxes leave by IPv4 only`);
  }
}

/** By DNS alone: what the system would ask besides runs on threads that all of Islet shares. */
async function resolve(host: string): Promise<string[]> {
  // As RFC 6761 has it.
  if (host === 'localhost' || host.endsWith('.localhost')) return ['127.0.0.1'];
  try {
    return await new Resolver({ timeout: QUESTION_MS, tries: 2 }).resolve4(host);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? 'no answer';
    throw invalidEgressProxy(`resolve egress proxy host "${host}": ${reason}`, error);
  }
}

function splitAddress(address: string): { host: string; port: number } {
  if (address === '') throw invalidEgressProxy('egress proxy address must not be empty');
  const parts = /^(?:\[([^[\]]*)\]|([^:[\]]*)):([^:]*)$/.exec(address);
  if (!parts) {
    const reason = address.includes(':') ? 'too many colons in address' : 'missing port in address';
    throw invalidEgressProxy(`egress proxy address must be in host:port form: address ${address}: ${reason}`);
  }
  const [, literal, name, text = ''] = parts;
  const host = literal ?? name ?? '';
  if (host === '') throw invalidEgressProxy('egress proxy host must not be empty');
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) {
    throw invalidEgressProxy(`egress proxy port "${text}" is not a valid 1-65535 value`);
  }
  return { host, port };
}
