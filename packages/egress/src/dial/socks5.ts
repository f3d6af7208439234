import type { EgressProxy } from '../policy.ts';

/** Where a proxy is asked to connect to. */
export interface ProxiedDestination {
  /** A name, or an IPv4 address. */
  host: { name: string } | { address: string };
  port: number;
}

/** What has to happen next: bytes to send, or more bytes to wait for; in the end, what came behind the proxy's answer. */
export type SocksStep =
  | { is: 'send'; bytes: Buffer }
  | { is: 'more' }
  | { is: 'connected'; rest: Buffer }
  | { is: 'failed'; why: string };

const VERSION = 5;
const LOGIN_VERSION = 1;
const [NO_LOGIN, LOGIN] = [0, 2];
const CONNECT = 1;
const [IPV4, NAME, IPV6] = [1, 3, 4];
/** Of an address in an answer, bytes; a name bears its own. */
const ADDRESS_BYTES: Readonly<Record<number, number>> = { [IPV4]: 4, [IPV6]: 16 };

/** RFC 1928, 6. */
const REPLIES: Readonly<Record<number, string>> = {
  1: 'it failed',
  2: 'it does not allow this connection',
  3: 'it cannot reach the network',
  4: 'it cannot reach the host',
  5: 'the destination refused the connection',
  6: 'its time to live expired',
  7: 'it does not know CONNECT',
  8: 'it does not know this kind of address',
};

/** The client's side of SOCKS 5 (RFC 1928) with a login (RFC 1929), as bytes in and bytes out. */
export class SocksClient {
  readonly #proxy: EgressProxy;
  readonly #destination: ProxiedDestination;
  #state: 'method' | 'login' | 'answer' | 'over' = 'method';
  #held = Buffer.alloc(0);

  constructor(proxy: EgressProxy, destination: ProxiedDestination) {
    this.#proxy = proxy;
    this.#destination = destination;
  }

  /** What to send first. */
  greeting(): Buffer {
    return Buffer.from(this.#hasLogin ? [VERSION, 2, NO_LOGIN, LOGIN] : [VERSION, 1, NO_LOGIN]);
  }

  /** Takes what the proxy sent. `connected` and `failed` are the last steps. */
  push(piece: Uint8Array): SocksStep {
    this.#held = Buffer.concat([this.#held, piece]);
    switch (this.#state) {
      case 'method':
        return this.#method();
      case 'login':
        return this.#login();
      case 'answer':
        return this.#answer();
      case 'over':
        return { is: 'failed', why: 'its answer is over' };
    }
  }

  get #hasLogin(): boolean {
    return this.#proxy.username !== undefined;
  }

  #method(): SocksStep {
    if (this.#held.length < 2) return { is: 'more' };
    const [version, method] = this.#take(2);
    if (version !== VERSION) return this.#fail('it does not speak SOCKS 5');
    if (method === NO_LOGIN) return this.#request();
    if (method !== LOGIN || !this.#hasLogin) return this.#fail('it accepts none of the ways to log in');
    this.#state = 'login';
    const { username = '', password = '' } = this.#proxy;
    return this.#send(Buffer.concat([Buffer.from([LOGIN_VERSION]), counted(username), counted(password)]));
  }

  #login(): SocksStep {
    if (this.#held.length < 2) return { is: 'more' };
    const [, status] = this.#take(2);
    return status === 0 ? this.#request() : this.#fail('it refuses the user name or the password');
  }

  #request(): SocksStep {
    this.#state = 'answer';
    const { host, port } = this.#destination;
    const address =
      'name' in host
        ? Buffer.concat([Buffer.from([NAME]), counted(host.name)])
        : Buffer.from([IPV4, ...host.address.split('.').map(Number)]);
    const head = Buffer.from([VERSION, CONNECT, 0]);
    return this.#send(Buffer.concat([head, address, Buffer.from([port >> 8, port & 0xff])]));
  }

  #answer(): SocksStep {
    if (this.#held.length < 5) return { is: 'more' };
    const [version, reply = 1, , kind = 0, first = 0] = this.#held;
    if (version !== VERSION) return this.#fail('it does not speak SOCKS 5');
    if (reply !== 0) return this.#fail(REPLIES[reply] ?? `it answered ${reply}`);
    const addressBytes = kind === NAME ? 1 + first : ADDRESS_BYTES[kind];
    if (addressBytes === undefined) return this.#fail('its answer has an address of no known kind');
    const length = 4 + addressBytes + 2;
    if (this.#held.length < length) return { is: 'more' };
    this.#take(length);
    this.#state = 'over';
    return { is: 'connected', rest: this.#held };
  }

  /** Nothing may be behind what has been taken before it is answered. */
  #send(bytes: Buffer): SocksStep {
    return this.#held.length > 0 ? this.#fail('it answers what it was not asked') : { is: 'send', bytes };
  }

  #fail(why: string): SocksStep {
    this.#state = 'over';
    return { is: 'failed', why };
  }

  #take(length: number): Buffer {
    const taken = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(length);
    return taken;
  }
}

/** Behind its length in one byte: names, user names and passwords have 255 bytes at most. */
function counted(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length > 255) throw new RangeError('longer than 255 bytes');
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}
