/**
 * A program that stands for Firecracker in tests: it answers as `PublishedApi` does, and really is confined, maps a snapshot's memory
 * and attaches to the tap, so that everything around a guest is what it will be. Its guest is a few lines: each time it goes on,
 * it counts up a number that it holds at two places of its memory and writes it to its disk.
 */
import {
  appendFileSync,
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { GUEST } from '@islet/network';
import koffi from 'koffi';
import { type Effects, type Machine, PublishedApi } from './published-api.ts';

const VERSION = process.env.FIRECRACKER_VERSION ?? '1.14.1';

const libc = koffi.load(null);
const mmap = libc.func('void *mmap(void *, size_t, int, int, int, int64)');
const socket = libc.func('int socket(int, int, int)');
const sendto = libc.func('long sendto(int, const uint8_t *, size_t, int, const uint8_t *, uint)');
const ioctl = libc.func('int ioctl(int, ulong, _Inout_ uint8_t *)');

const PAGE = 4096;
const PROT_READ_WRITE = 3;
const MAP_PRIVATE = 2;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const TUNSETIFF = 0x400454ca;
/** IFF_TAP, IFF_NO_PI, IFF_VNET_HDR. */
const TAP_FLAGS = 0x5002;

/** Guest memory in two pieces with a hole between, as Firecracker's is above 3 GiB. */
class Memory {
  readonly halves: Uint8Array[];
  readonly dirty = new Set<number>();
  readonly #half: number;
  readonly #addresses: bigint[] = [];

  constructor(bytes: number, file: number | undefined) {
    this.#half = bytes / 2;
    const flags = MAP_PRIVATE | (file === undefined ? MAP_ANONYMOUS : 0);
    this.halves = [0, 1].map((i) => {
      const address = mmap(null, this.#half, PROT_READ_WRITE, flags, file ?? -1, i * this.#half);
      this.#addresses.push(koffi.address(address) as bigint);
      return new Uint8Array(koffi.view(address, this.#half) as ArrayBuffer);
    });
  }

  /** One number a page, at its beginning. */
  read(page: number): number {
    const { bytes, offset } = this.#at(page);
    return new DataView(bytes.buffer).getUint32(offset, true);
  }

  write(page: number, value: number): void {
    const { bytes, offset } = this.#at(page);
    new DataView(bytes.buffer).setUint32(offset, value, true);
    this.dirty.add(page);
  }

  /** As Firecracker does with what a guest gives back of a snapshot's memory: here the end of each half. */
  giveBack(): void {
    for (const address of this.#addresses) {
      const last = address + BigInt(this.#half - GIVEN_BACK * PAGE);
      mmap(last, GIVEN_BACK * PAGE, PROT_READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
  }

  save(type: 'Full' | 'Diff', file: number): void {
    ftruncateSync(file, 2 * this.#half);
    if (type === 'Full')
      for (const [i, bytes] of this.halves.entries()) writeSync(file, bytes, 0, bytes.length, i * this.#half);
    for (const page of type === 'Diff' ? this.dirty : []) {
      const { bytes, offset } = this.#at(page);
      writeSync(file, bytes, offset, PAGE, page * PAGE);
    }
    this.dirty.clear();
  }

  #at(page: number): { bytes: Uint8Array; offset: number } {
    const index = page * PAGE < this.#half ? 0 : 1;
    return { bytes: this.halves[index] as Uint8Array, offset: page * PAGE - index * this.#half };
  }
}

const GIVEN_BACK = 4;
const COUNTER_PAGE = 3;
/** How many frames the guest's queue has taken: the device keeps the same number. */
const QUEUE_PAGE = 5;

/** The machine, its memory and the program in it. */
class Simulated implements Effects {
  #memory: Memory | undefined;
  #tracks = false;
  #machine: Machine | undefined;
  #disk = -1;
  #tap = -1;
  #received = 0;

  open(path: string, mode: 'read' | 'write'): void {
    closeSync(openSync(path, mode === 'read' ? 'r' : 'r+'));
  }

  attachTap(name: string): void {
    const device = openSync('/dev/net/tun', constants.O_RDWR | constants.O_NONBLOCK);
    const request = Buffer.alloc(40);
    request.write(name);
    request.writeUInt16LE(TAP_FLAGS, 16);
    if (ioctl(device, TUNSETIFF, request) !== 0) throw new Error(`Open tap device failed: ${koffi.errno()}`);
    this.#tap = device;
  }

  start(machine: Machine): void {
    this.#take(machine);
    this.#memory = new Memory(machine.memoryMib * 1024 * 1024, undefined);
    this.resume();
  }

  pause(): void {}

  resume(): void {
    const [memory, machine] = [this.#memory as Memory, this.#machine as Machine];
    const otherPage = (machine.memoryMib * 1024 * 1024) / PAGE - 2 * GIVEN_BACK;
    const count = memory.read(COUNTER_PAGE);
    if (memory.read(otherPage) !== count || memory.read(QUEUE_PAGE) !== this.#received) {
      console.error('the memory is torn');
      process.exit(1);
    }
    memory.write(COUNTER_PAGE, count + 1);
    memory.write(otherPage, count + 1);
    writeSync(this.#disk, new Uint32Array([count + 1]), 0, 4, 0);
    this.#receive();
    if (this.#tracks) memory.giveBack();
  }

  save(type: 'Full' | 'Diff', statePath: string, memoryPath: string, machine: Machine): void {
    if (type === 'Diff' && !this.#tracks) throw new Error('pages that were only read are not told apart');
    writeFileSync(statePath, JSON.stringify({ machine, received: this.#received }));
    const file = openSync(memoryPath, 'a+');
    closeSync(file);
    const memory = openSync(memoryPath, 'r+');
    this.#memory?.save(type, memory);
    closeSync(memory);
    // Somebody sends to the guest just now, and frames are taken while it is paused, too.
    sendToGuest();
    this.#receive();
  }

  #receive(): void {
    const frame = Buffer.alloc(2048);
    for (;;) {
      try {
        readSync(this.#tap, frame);
      } catch {
        return; // there is none
      }
      this.#memory?.write(QUEUE_PAGE, ++this.#received);
    }
  }

  load(statePath: string, memoryPath: string, trackDirtyPages: boolean): Machine {
    const saved = JSON.parse(readFileSync(statePath, 'utf8')) as { machine: Machine; received: number };
    const { machine } = saved;
    this.#received = saved.received;
    const file = openSync(memoryPath, 'r');
    const bytes = machine.memoryMib * 1024 * 1024;
    if (fstatSync(file).size !== bytes) throw new Error('the memory file is of another size');
    this.#take(machine);
    this.#tracks = trackDirtyPages;
    this.#memory = new Memory(bytes, file);
    closeSync(file);
    return machine;
  }

  #take(machine: Machine): void {
    this.#machine = machine;
    this.#disk = openSync(machine.drives.find(({ readOnly }) => !readOnly)?.path ?? '', 'r+');
  }
}

/** One datagram to the guest's discard port, from the other end of its cable. */
function sendToGuest(): void {
  const [AF_INET, SOCK_DGRAM] = [2, 2];
  const address = Buffer.alloc(16);
  address.writeUInt16LE(AF_INET, 0);
  address.writeUInt16BE(9, 2);
  for (const [i, octet] of GUEST.address.split('.').entries()) address[4 + i] = Number(octet);
  const descriptor = socket(AF_INET, SOCK_DGRAM, 0);
  sendto(descriptor, Buffer.from('hello'), 5, 0, address, address.length);
  closeSync(descriptor);
}

/** A guest that ends with its first program. */
class Probed extends Simulated {
  override start(): void {}
}

/** What the jailer does before it becomes Firecracker: here the last of it, since this program could not start inside. */
function confine(root: string, uid: number): void {
  if (libc.func('int chroot(const char *)')(root) !== 0) throw new Error('chroot failed');
  process.chdir('/');
  process.setgroups?.([]);
  process.setgid?.(uid);
  process.setuid?.(uid);
}

function serve(socket: string): void {
  const api = new PublishedApi(VERSION, new Simulated());
  createServer((request, response) => {
    void text(request).then((content) => {
      const { method = '', url = '' } = request;
      appendFileSync('calls', `${method} ${url} ${content}\n`);
      const { body, status } = api.handle(method, url, content);
      response.writeHead(status, { 'Content-Type': 'application/json' });
      response.end(body === undefined ? '' : JSON.stringify(body), () => {
        if (api.ended) process.exit(1);
      });
    });
  }).listen(socket);
}

/** Boots what a file says and ends with the guest, which is the probe's. */
function runConfigured(file: string): void {
  const config = JSON.parse(readFileSync(file, 'utf8')) as Record<string, Record<string, unknown>>;
  const api = new PublishedApi(VERSION, new Probed());
  const calls = [
    ['/boot-source', config['boot-source']],
    ['/machine-config', config['machine-config']],
    ['/actions', { action_type: 'InstanceStart' }],
  ] as const;
  for (const [path, body] of calls) {
    const { body: fault, status } = api.handle('PUT', path, JSON.stringify(body));
    if (status !== 204) {
      console.error(JSON.stringify(fault));
      process.exit(1);
    }
  }
  if (/\bislet\.probe=yes\b/.test(String(config['boot-source']?.boot_args)))
    console.log('islet-probe 0.20 0.45');
}

const { values } = parseArgs({
  options: {
    version: { type: 'boolean' },
    id: { type: 'string' },
    'api-sock': { type: 'string' },
    'start-time-us': { type: 'string' },
    'start-time-cpu-us': { type: 'string' },
    'no-api': { type: 'boolean' },
    level: { type: 'string' },
    'config-file': { type: 'string' },
  },
});
if (values.version) {
  console.log(`Firecracker v${VERSION}\n`);
} else if (values['no-api']) {
  runConfigured(values['config-file'] ?? '');
} else {
  const { JAIL_ROOT, JAIL_UID } = process.env;
  if (JAIL_ROOT !== undefined) confine(JAIL_ROOT, Number(JAIL_UID));
  serve(values['api-sock'] ?? '/run/firecracker.socket');
}
