import { connect, isIPv4, type Socket } from 'node:net';
import { Deadline } from '@islet/contracts';
import { normalName } from '../decision/names.ts';
import type { EgressProxy } from '../policy.ts';
import type { ReachableAddresses } from './addresses.ts';
import { DialError } from './dial-error.ts';
import type { Names } from './names.ts';
import { type ProxiedDestination, SocksClient } from './socks5.ts';

/** Where a connection goes, by whom. */
export interface Route {
  /** Dialled by its name, if it has one: the gateway asks for its address itself. */
  to: { name: string } | { address: string };
  port: number;
  proxy: EgressProxy | undefined;
  /** Addresses that a name may lead to, of those that sandboxes may reach at all; any if it is absent. */
  mayReach?: ((address: string) => boolean) | undefined;
}

export interface DialerOptions {
  names: Names;
  reachable: ReachableAddresses;
}

/** For a name's answer, for one address, and for all that a connection takes, ms. */
const CONNECT_MS = 5_000;
const DIAL_MS = 15_000;
/** Addresses of a name that are tried. */
const MOST_TRIES = 3;
/**
 * Of what a socket has not sent yet: one read of 64 KiB and a little, so that one that was sent at once does not stop the other
 * side for a moment.
 */
export const HELD_BYTES = 65 * 1024;
/** So that ends which vanished without a word are noticed, ms. */
export const KEEP_ALIVE_MS = 60_000;

/** Makes sandboxes' connections. */
export class Dialer {
  readonly #names: Names;
  readonly #reachable: ReachableAddresses;

  constructor({ names, reachable }: DialerOptions) {
    this.#names = names;
    this.#reachable = reachable;
  }

  /**
   * @param signal aborts it, and nothing is left open
   * @returns a paused socket, half of which may be closed
   * @throws DialError
   */
  async dial(route: Route, signal: AbortSignal): Promise<Socket> {
    using deadline = new Deadline(DIAL_MS, signal);
    return route.proxy
      ? await this.#throughProxy(route, route.proxy, deadline.signal)
      : await this.#connectToAny(await this.#addresses(route), route.port, deadline.signal);
  }

  async #addresses({ to, mayReach = () => true }: Route): Promise<string[]> {
    if ('address' in to) return this.#onlyReachable(to.address, [to.address]);
    const found = this.#onlyReachable(to.name, await this.#names.resolve(to.name)).filter(mayReach);
    if (found.length === 0) throw new DialError('internal', `${to.name} leads to denied addresses only`);
    return found;
  }

  #onlyReachable(host: string, addresses: readonly string[]): string[] {
    const found = addresses.filter((address) => this.#reachable.include(address));
    if (found.length === 0) throw new DialError('internal', `${host} is at addresses that are always denied`);
    return found;
  }

  async #connectToAny(addresses: readonly string[], port: number, signal: AbortSignal): Promise<Socket> {
    let failure: unknown;
    for (const address of addresses.slice(0, MOST_TRIES)) {
      try {
        return await connectTo(address, port, signal);
      } catch (error) {
        failure = error;
        if (signal.aborted) break;
      }
    }
    throw new DialError('unreachable', `nothing answers at port ${port} of ${addresses[0]}`, {
      cause: failure,
    });
  }

  async #throughProxy(route: Route, proxy: EgressProxy, signal: AbortSignal): Promise<Socket> {
    const host = await this.#proxiedHost(route);
    const { name, port } = parseProxyAddress(proxy.address);
    try {
      const found = isIPv4(name) ? [name] : await this.#names.resolve(name);
      const socket = await this.#connectToAny(this.#onlyReachable(name, found), port, signal);
      return await throughSocks(socket, new SocksClient(proxy, { host, port: route.port }), signal);
    } catch (cause) {
      throw new DialError('proxy', `the proxy cannot be used: ${(cause as Error).message}`, { cause });
    }
  }

  /** What the proxy is asked for: names as they are, unless only some of their addresses may be reached. */
  async #proxiedHost(route: Route): Promise<ProxiedDestination['host']> {
    if ('name' in route.to && !route.mayReach) return route.to;
    const [address] = await this.#addresses(route);
    return { address: address as string };
  }
}

async function connectTo(address: string, port: number, signal: AbortSignal): Promise<Socket> {
  using deadline = new Deadline(CONNECT_MS, signal);
  const socket = connect({
    ...{ host: address, port, family: 4, allowHalfOpen: true, noDelay: true },
    ...{ keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS, writableHighWaterMark: HELD_BYTES },
  });
  // An error that comes while nobody listens would end the process.
  socket.on('error', () => undefined).pause();
  await during(socket, deadline.signal, (done) => socket.once('connect', () => done()));
  // One of this machine's addresses is reached from itself, whatever it was known by.
  if (socket.localAddress !== socket.remoteAddress) return socket;
  socket.destroy();
  throw new DialError('internal', `${address} is this machine`);
}

/** Speaks with the proxy until it is connected; what it sends behind its answer is the destination's. */
async function throughSocks(socket: Socket, client: SocksClient, signal: AbortSignal): Promise<Socket> {
  await during(socket, signal, (done, fail) => {
    const onReadable = () => {
      for (let piece = socket.read(); piece !== null; piece = socket.read()) {
        const step = client.push(piece as Buffer);
        if (step.is === 'send') socket.write(step.bytes);
        if (step.is === 'failed') fail(new DialError('proxy', step.why));
        if (step.is !== 'connected') continue;
        socket.off('readable', onReadable);
        if (step.rest.length > 0) socket.unshift(step.rest);
        return done();
      }
    };
    socket.on('readable', onReadable);
    socket.once('end', () => fail(new DialError('proxy', 'it closed the connection')));
    socket.write(client.greeting());
  });
  socket.pause();
  return socket;
}

/** Waits for something of a socket, which is destroyed if that fails, or the signal aborts before. */
async function during(
  socket: Socket,
  signal: AbortSignal,
  begin: (done: () => void, fail: (error: Error) => void) => void,
): Promise<void> {
  let stop: (() => void) | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const onAbort = () => reject(signal.reason as Error);
      const onClose = () => reject(new Error('the connection was closed'));
      stop = () => {
        signal.removeEventListener('abort', onAbort);
        socket.off('error', reject).off('close', onClose);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      socket.once('error', reject).once('close', onClose);
      if (signal.aborted) onAbort();
      else begin(resolve, reject);
    });
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    stop?.();
  }
}

/** A proxy's host, lower-case, and port. @throws DialError if it is no `host:port` */
export function parseProxyAddress(address: string): { name: string; port: number } {
  const [, host = '', digits = ''] = /^([^:]+):(\d{1,5})$/.exec(address) ?? [];
  const port = Number(digits);
  const name = isIPv4(host) ? host : normalName(host);
  if (name === undefined || port < 1 || port > 65535) {
    throw new DialError('proxy', 'the address of the proxy is no host:port');
  }
  return { name, port };
}
