import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ALWAYS_DENIED, parseNetworkList } from '@islet/contracts';
import { formatIpv4, parseIpv4 } from './addresses.ts';

/** States of connections, as /proc/net/tcp has them. */
const ESTABLISHED = '01';
/** It only waits for stray packets: its peer has forgotten it. */
const TIME_WAIT = '06';

const own = parseNetworkList(ALWAYS_DENIED);

/**
 * States of the connections that this host has begun with an address, as listed in the text of /proc/net/tcp. What the gateway
 * has in the name of others it did not begin, and what a sandbox begins is cut when it is saved.
 */
function statesOf(table: string, address: string): string[] {
  const remote = `${hexOf(parseIpv4(address))}:`;
  return rowsOf(table)
    .filter(({ local, peer }) => peer.startsWith(remote) && own.include(addressOf(local)))
    .map(({ state }) => state);
}

interface Row {
  local: string;
  peer: string;
  state: string;
}

function rowsOf(table: string): Row[] {
  return table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local, peer, state] = line.trim().split(/\s+/);
      return local && peer && state ? [{ local, peer, state }] : [];
    });
}

/** The kernel prints addresses as 32-bit numbers in the byte order of the machine (little-endian on all we run on). */
function hexOf(address: number): string {
  const value = Buffer.alloc(4);
  value.writeUInt32BE(address);
  return value.reverse().toString('hex').toUpperCase();
}

function addressOf(field: string): string {
  return formatIpv4(Buffer.from(field.slice(0, 8), 'hex').reverse().readUInt32BE());
}

/** Addresses that this host has begun connections with, which are not over, as listed in the text of /proc/net/tcp. */
export function connectedAddresses(table: string): Set<string> {
  const begun = rowsOf(table).filter(
    ({ local, state }) => state !== TIME_WAIT && own.include(addressOf(local)),
  );
  return new Set(begun.map(({ peer }) => addressOf(peer)));
}

/** Connections that this host has with an address, as listed in the text of /proc/net/tcp. */
export function countConnections(table: string, address: string): number {
  return statesOf(table, address).filter((state) => state !== TIME_WAIT).length;
}

/** Waits until the host has ended its side of all connections with a sandbox, for `atMostMs`. */
export async function waitForRequests(address: string, atMostMs: number): Promise<void> {
  const deadline = performance.now() + atMostMs;
  while (performance.now() < deadline) {
    const states = statesOf(await readFile('/proc/net/tcp', 'utf8'), address);
    if (!states.includes(ESTABLISHED)) return;
    await sleep(2);
  }
}

/**
 * Waits until the host has closed its connections with a sandbox: one that is half closed keeps the sandbox from being
 * saved. @throws Error if one is still open after `deadlineMs`.
 */
export async function waitForQuiet(address: string, deadlineMs: number): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const open = countConnections(await readFile('/proc/net/tcp', 'utf8'), address);
    if (open === 0) return;
    if (performance.now() > deadline) throw new Error(`${open} connections with ${address} are still open`);
    await sleep(10);
  }
}
