/** A listening TCP socket. */
export interface Listener {
  port: number;
  /** `loopback4` and `loopback6` cannot be reached from outside of the sandbox. */
  scope: 'loopback4' | 'loopback6' | 'other';
}

const STATE_LISTEN = '0A';

/** Reads /proc/net/tcp or tcp6. */
export function parseListeners(text: string): Listener[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local, , state] = line.trim().split(/\s+/);
      const [address, port] = local?.split(':') ?? [];
      if (state !== STATE_LISTEN || !address || !port) return [];
      return [{ port: Number.parseInt(port, 16), scope: scopeOf(address) }];
    });
}

/** The kernel prints addresses as little-endian words of 32 bits. */
function scopeOf(address: string): Listener['scope'] {
  if (address.length === 8) return address.endsWith('7F') ? 'loopback4' : 'other';
  if (address === '00000000000000000000000001000000') return 'loopback6';
  const isMapped = address.startsWith('0000000000000000FFFF0000');
  return isMapped && address.endsWith('7F') ? 'loopback4' : 'other';
}

/** Ports to forward, with the address their program listens on; not those that are reachable from outside already. */
export function portsToForward(
  listeners: readonly Listener[],
  own: ReadonlySet<number>,
): Map<number, string> {
  const ports = new Map<number, string>();
  const reachable = new Set<number>();
  for (const { port, scope } of listeners) {
    if (scope === 'other') reachable.add(port);
    else if (scope === 'loopback4' || !ports.has(port))
      ports.set(port, scope === 'loopback4' ? '127.0.0.1' : '::1');
  }
  // A port that envd itself forwards looks reachable because of that.
  for (const port of reachable) if (!own.has(port)) ports.delete(port);
  return ports;
}
