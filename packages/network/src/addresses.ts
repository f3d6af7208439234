/** Slots an instance can have at once: a /30 each out of its /18. */
export const SLOT_COUNT = 4096;

/** Blocks of 16384 addresses in 10.64.0.0/10, one for each Islet on a host. */
export const BLOCK_COUNT = 256;

const FIRST_BLOCK = parseIpv4('10.64.0.0');
const BLOCK_SIZE = SLOT_COUNT * 4;

/** A network slot: a namespace with one end of a veth pair, the other end on the host, and their addresses. */
export interface Slot {
  index: number;
  netns: string;
  /** Name of the host's end; interface names have 15 characters at most. */
  hostInterface: string;
  hostAddress: string;
  sandboxAddress: string;
  /** Ethernet address of the sandbox's end, known ahead so that nobody has to wait for ARP. */
  sandboxMac: string;
}

export interface Subnet {
  block: number;
  cidr: string;
}

export function blockSubnet(block: number): Subnet {
  return { block, cidr: `${formatIpv4(FIRST_BLOCK + block * BLOCK_SIZE)}/18` };
}

/** Prefix of an instance's host interfaces; nftables rules match on it. */
export function interfacePrefix(instance: string): string {
  return `is${instance}-`;
}

export function netnsPrefix(instance: string): string {
  return `islet-${instance}-`;
}

export function slotAt(instance: string, subnet: Subnet, index: number): Slot {
  const base = FIRST_BLOCK + subnet.block * BLOCK_SIZE + index * 4;
  return {
    index,
    netns: `${netnsPrefix(instance)}${index}`,
    hostInterface: `${interfacePrefix(instance)}${index}`,
    hostAddress: formatIpv4(base + 1),
    sandboxAddress: formatIpv4(base + 2),
    sandboxMac: macOf(base + 2),
  };
}

/** A locally administered unicast address that holds the IPv4 address. */
function macOf(address: number): string {
  const bytes = [24, 16, 8, 0].map((shift) =>
    (Math.floor(address / 2 ** shift) % 256).toString(16).padStart(2, '0'),
  );
  return ['02', '69', ...bytes].join(':');
}

export function parseIpv4(text: string): number {
  const parts = text.split('.').map(Number);
  if (parts.length !== 4 || parts.some((part) => !(part >= 0 && part <= 255)))
    throw new RangeError(`not an IPv4 address: ${text}`);
  return parts.reduce((value, part) => value * 256 + part, 0);
}

export function formatIpv4(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}

/** True where two CIDRs (or plain addresses) share an address. */
export function overlaps(a: string, b: string): boolean {
  const [startA, endA] = range(a);
  const [startB, endB] = range(b);
  return startA <= endB && startB <= endA;
}

function range(cidr: string): [number, number] {
  const [address, length] = cidr.split('/');
  const size = 2 ** (32 - Number(length ?? 32));
  const start = Math.floor(parseIpv4(address as string) / size) * size;
  return [start, start + size - 1];
}

/**
 * The block for an instance: the first free one, counted from a place that its name gives, so that an instance
 * keeps its block as long as nobody else needs it.
 * @throws Error if the host's routes leave none.
 */
export function chooseBlock(instance: string, occupied: (subnet: Subnet) => boolean): Subnet {
  const start = Number.parseInt(instance, 16) % BLOCK_COUNT;
  for (let i = 0; i < BLOCK_COUNT; i++) {
    const subnet = blockSubnet((start + i) % BLOCK_COUNT);
    if (!occupied(subnet)) return subnet;
  }
  throw new Error("10.64.0.0/10 is fully covered by this host's routes: no addresses are left for sandboxes");
}
