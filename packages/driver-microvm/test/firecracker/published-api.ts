/**
 * What Firecracker's API takes and answers, in our words, after its published description (src/firecracker/swagger/firecracker.yaml
 * and docs/snapshotting of Firecracker 1.14 to 1.17): fields and their types, what may be called in which state, and how a
 * refusal is told. Only the part that Islet uses is known; everything else is refused, so that a new use has to be added here.
 */

export interface Answer {
  status: number;
  body?: unknown;
}

/** What calls do beside being answered. Every method may throw an Error, whose message becomes the answer's. */
export interface Effects {
  /** Opens a file as the machine would. */
  open(path: string, mode: 'read' | 'write'): void;
  attachTap(name: string): void;
  start(machine: Machine): void;
  pause(): void;
  resume(): void;
  save(type: 'Full' | 'Diff', statePath: string, memoryPath: string, machine: Machine): void;
  /** Gives back the machine that was saved. */
  load(statePath: string, memoryPath: string, trackDirtyPages: boolean): Machine;
}

type Json = Record<string, unknown>;

/** All that was configured; a snapshot holds it. */
export interface Machine {
  vcpuCount: number;
  memoryMib: number;
  /** In the guest's order. */
  drives: { id: string; path: string; readOnly: boolean }[];
  taps: string[];
  balloonMib: number | undefined;
  entropy: boolean;
}

type Field = 'string' | 'integer' | 'boolean' | readonly string[] | Shape;
interface Shape {
  required: Record<string, Field>;
  optional: Record<string, Field>;
}

const shape = (required: Record<string, Field>, optional: Record<string, Field> = {}): Shape => ({
  required,
  optional,
});

const SHAPES = {
  'PUT /machine-config': shape(
    { vcpu_count: 'integer', mem_size_mib: 'integer' },
    { smt: 'boolean', track_dirty_pages: 'boolean' },
  ),
  'PUT /boot-source': shape({ kernel_image_path: 'string' }, { initrd_path: 'string', boot_args: 'string' }),
  'PUT /drives': shape(
    { drive_id: 'string', is_root_device: 'boolean' },
    {
      ...{ is_read_only: 'boolean', path_on_host: 'string', partuuid: 'string' },
      ...{ cache_type: ['Unsafe', 'Writeback'], io_engine: ['Sync', 'Async'] },
    },
  ),
  'PUT /network-interfaces': shape(
    { iface_id: 'string', host_dev_name: 'string' },
    { guest_mac: 'string', mtu: 'integer' },
  ),
  'PUT /entropy': shape({}),
  'PUT /balloon': shape(
    { amount_mib: 'integer', deflate_on_oom: 'boolean' },
    {
      stats_polling_interval_s: 'integer',
      free_page_hinting: 'boolean',
      free_page_reporting: 'boolean',
    },
  ),
  'PUT /actions': shape({ action_type: ['FlushMetrics', 'InstanceStart', 'SendCtrlAltDel'] }),
  'PATCH /vm': shape({ state: ['Paused', 'Resumed'] }),
  'PUT /snapshot/create': shape(
    { snapshot_path: 'string', mem_file_path: 'string' },
    { snapshot_type: ['Full', 'Diff'] },
  ),
  'PUT /snapshot/load': shape(
    { snapshot_path: 'string' },
    {
      ...{ mem_file_path: 'string', enable_diff_snapshots: 'boolean' },
      ...{ track_dirty_pages: 'boolean', resume_vm: 'boolean' },
      mem_backend: shape({ backend_type: ['File', 'Uffd'], backend_path: 'string' }),
    },
  ),
} as const satisfies Record<string, Shape>;

class Refusal extends Error {}

const BEFORE_START = 'The requested operation is not supported before starting the microVM.';
const AFTER_START = 'The requested operation is not supported after starting the microVM.';

/** The state of one Firecracker, from its start on. */
export class PublishedApi {
  /** Firecracker ends if a snapshot could not be loaded, since it may be half loaded. */
  ended = false;
  readonly #effects: Effects;
  readonly #version: string;
  readonly #machine: Machine = {
    ...{ vcpuCount: 1, memoryMib: 128, drives: [], taps: [], balloonMib: undefined, entropy: false },
  };
  #state: 'Not started' | 'Running' | 'Paused' = 'Not started';
  /** Something of a machine that boots was said, which rules a snapshot out. */
  #configured = false;
  #hasKernel = false;
  #rootDrive: string | undefined;

  constructor(version: string, effects: Effects) {
    this.#version = version;
    this.#effects = effects;
  }

  /** Answers one request; `content` is its body as it came. */
  handle(method: string, path: string, content: string): Answer {
    try {
      return this.#answer(method, path, content);
    } catch (error) {
      return { status: 400, body: { fault_message: (error as Error).message } };
    }
  }

  #answer(method: string, path: string, content: string): Answer {
    if (method === 'GET') return this.#get(path, content);
    if (content === '') throw new Refusal(`Empty ${method} request.`);
    const [, first = '', second] = path.split('/');
    const route = `${method} /${first === 'snapshot' ? `snapshot/${second}` : first}`;
    if (!(route in SHAPES))
      throw new Refusal(`Invalid request method and/or path: ${method} ${path.slice(1)}.`);
    const body = parse(content, SHAPES[route as keyof typeof SHAPES]);
    if (first === 'drives' || first === 'network-interfaces') checkId(second, body);
    this.#apply(route as keyof typeof SHAPES, body);
    return { status: 204 };
  }

  #get(path: string, content: string): Answer {
    if (content !== '') throw new Refusal('GET request cannot have a body.');
    if (path === '/version') return { status: 200, body: { firecracker_version: this.#version } };
    if (path !== '/') throw new Refusal(`Invalid request method and/or path: GET ${path.slice(1)}.`);
    const about = { app_name: 'Firecracker', id: 'test', vmm_version: this.#version };
    return { status: 200, body: { ...about, state: this.#state } };
  }

  #apply(route: keyof typeof SHAPES, body: Json): void {
    const isAfterStart = route === 'PATCH /vm' || route === 'PUT /snapshot/create';
    const started = this.#state !== 'Not started';
    if (isAfterStart && !started) throw new Refusal(BEFORE_START);
    if (!isAfterStart && started) throw new Refusal(AFTER_START);
    if (route === 'PUT /snapshot/load') this.#load(body);
    else if (route === 'PUT /snapshot/create') this.#create(body);
    else if (route === 'PATCH /vm') this.#setState(body.state as string);
    else if (route === 'PUT /actions') this.#act(body.action_type as string);
    else {
      this.#configured = true;
      this.#configure(route, body);
    }
  }

  #configure(route: keyof typeof SHAPES, body: Json): void {
    const machine = this.#machine;
    if (route === 'PUT /machine-config') {
      const [cpus, memory] = [body.vcpu_count as number, body.mem_size_mib as number];
      if (cpus < 1 || cpus > 32) throw new Refusal('The vCPU number must be from 1 to 32.');
      if (body.smt === true && cpus !== 1 && cpus % 2 !== 0)
        throw new Refusal('The vCPU number is odd with SMT.');
      if (memory < 1) throw new Refusal('The memory size (MiB) is invalid.');
      machine.vcpuCount = cpus;
      machine.memoryMib = memory;
    } else if (route === 'PUT /boot-source') {
      this.#effects.open(body.kernel_image_path as string, 'read');
      if (body.initrd_path !== undefined) this.#effects.open(body.initrd_path as string, 'read');
      this.#hasKernel = true;
    } else if (route === 'PUT /drives') {
      this.#addDrive(body);
    } else if (route === 'PUT /network-interfaces') {
      const mac = body.guest_mac ?? '02:00:00:00:00:01';
      if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac as string)) throw new Refusal('invalid MAC address');
      machine.taps.push(body.host_dev_name as string);
    } else if (route === 'PUT /balloon') {
      if ((body.amount_mib as number) > machine.memoryMib)
        throw new Refusal('Amount of pages requested is too large.');
      machine.balloonMib = body.amount_mib as number;
    } else machine.entropy = true;
  }

  #addDrive(body: Json): void {
    if (body.path_on_host === undefined || body.is_read_only === undefined)
      throw new Refusal('a virtio block device needs path_on_host and is_read_only');
    const [id, path, readOnly] = [
      body.drive_id as string,
      body.path_on_host as string,
      body.is_read_only as boolean,
    ];
    if (body.is_root_device === true) {
      if (this.#rootDrive !== undefined && this.#rootDrive !== id)
        throw new Refusal('A root block device already exists!');
      this.#rootDrive = id;
    }
    this.#effects.open(path, readOnly ? 'read' : 'write');
    const drive = { id, path, readOnly };
    const known = this.#machine.drives.findIndex((each) => each.id === id);
    if (known !== -1) this.#machine.drives[known] = drive;
    else if (body.is_root_device === true) this.#machine.drives.unshift(drive);
    else this.#machine.drives.push(drive);
  }

  #act(action: string): void {
    if (action !== 'InstanceStart') throw new Refusal(BEFORE_START);
    if (!this.#hasKernel) throw new Refusal('Cannot start microvm without kernel configuration.');
    for (const tap of this.#machine.taps) this.#effects.attachTap(tap);
    this.#effects.start(this.#machine);
    this.#state = 'Running';
  }

  #setState(wanted: string): void {
    if (wanted === 'Paused' && this.#state === 'Running') {
      this.#effects.pause();
      this.#state = 'Paused';
    } else if (wanted === 'Resumed' && this.#state === 'Paused') {
      this.#effects.resume();
      this.#state = 'Running';
    }
  }

  #create(body: Json): void {
    if (this.#state !== 'Paused')
      throw new Refusal('Operation not allowed: save/restore unavailable while running');
    const type = (body.snapshot_type ?? 'Full') as 'Full' | 'Diff';
    this.#effects.save(type, body.snapshot_path as string, body.mem_file_path as string, this.#machine);
  }

  #load(body: Json): void {
    const backend = body.mem_backend as { backend_type: string; backend_path: string } | undefined;
    if ((backend === undefined) === (body.mem_file_path === undefined))
      throw new Refusal('either `mem_backend` or `mem_file_path` is required, and only one of them');
    if (this.#configured)
      throw new Refusal('Loading a microVM snapshot not allowed after configuring boot-specific resources.');
    const memory = backend?.backend_path ?? (body.mem_file_path as string);
    const tracks = body.track_dirty_pages === true || body.enable_diff_snapshots === true;
    try {
      const saved = this.#effects.load(body.snapshot_path as string, memory, tracks);
      // What it was configured with has to be there again, under the same names.
      for (const { path, readOnly } of saved.drives) this.#effects.open(path, readOnly ? 'read' : 'write');
      for (const tap of saved.taps) this.#effects.attachTap(tap);
      Object.assign(this.#machine, saved);
    } catch (error) {
      this.ended = true;
      throw new Refusal(`Load snapshot error: Failed to restore from snapshot: ${(error as Error).message}`);
    }
    this.#state = 'Paused';
    if (body.resume_vm === true) this.#setState('Resumed');
  }
}

function parse(content: string, expected: Shape): Json {
  let body: unknown;
  try {
    body = JSON.parse(content);
  } catch (error) {
    throw new Refusal(`An error occurred when deserializing the json body of a request: ${error}.`);
  }
  check(body, expected, 'the body');
  return body as Json;
}

function check(value: unknown, expected: Field, name: string): void {
  const refuse = (what: string) => {
    throw new Refusal(`An error occurred when deserializing the json body of a request: ${what}.`);
  };
  if (expected === 'integer') {
    if (!Number.isInteger(value) || (value as number) < 0) refuse(`invalid type: ${name} is no integer`);
  } else if (typeof expected === 'string') {
    if (typeof value !== expected) refuse(`invalid type: ${name} is no ${expected}`);
  } else if (Array.isArray(expected)) {
    if (!expected.includes(value)) refuse(`unknown variant ${JSON.stringify(value)} of ${name}`);
  } else {
    const { optional, required } = expected as Shape;
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      refuse(`invalid type: ${name} is no object`);
    const given = value as Json;
    for (const field of Object.keys(required)) if (!(field in given)) refuse(`missing field \`${field}\``);
    for (const [field, content] of Object.entries(given)) {
      const known = required[field] ?? optional[field];
      if (known === undefined) refuse(`unknown field \`${field}\``);
      else check(content, known, field);
    }
  }
}

function checkId(id: string | undefined, body: Json): void {
  if (!id) throw new Refusal('The ID cannot be empty.');
  if (!/^\w+$/.test(id))
    throw new Refusal('API Resource IDs can only contain alphanumeric characters and underscores.');
  if (id !== (body.drive_id ?? body.iface_id))
    throw new Refusal('The id from the path does not match the id from the body!');
}
