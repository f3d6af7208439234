import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Beyond which a packet on a slow link is dropped, ms. */
const SLOW_LATENCY_MS = 400;

/** Runs `ip` on some lines of its own language. */
async function ip(lines: readonly string[], netns?: string): Promise<void> {
  const child = run('ip', [...(netns === undefined ? [] : ['-n', netns]), '-batch', '-']);
  child.child.stdin?.end(`${lines.join('\n')}\n`);
  await child;
}

/** What a switch is called, and by what all of its machines' names begin. */
export function namespacePrefix(run: string): string {
  return `islet-cluster-${run}-`;
}

/**
 * Machines as network namespaces with an address each, on one bridge, which is in a namespace, too. This machine has one cable to
 * it, and nothing of its own network is reached from there.
 */
export class MachineNetwork<Name extends string> implements AsyncDisposable {
  readonly #run: string;
  readonly #machines: readonly Name[];
  /** The first three bytes of all addresses, of a network for tests of networks (RFC 2544). */
  readonly #network = `198.18.${process.pid % 256}`;

  private constructor(run: string, machines: readonly Name[]) {
    this.#run = run;
    this.#machines = machines;
  }

  /** @param run what tells this network from others that are there at the same time */
  static async open<Name extends string>(
    run: string,
    machines: readonly Name[],
  ): Promise<MachineNetwork<Name>> {
    const network = new MachineNetwork(run, machines);
    try {
      await network.#make();
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
    return network;
  }

  addressOf(machine: Name): string {
    return `${this.#network}.${this.#machines.indexOf(machine) + 1}`;
  }

  /** The file of its namespace. */
  netnsOf(machine: Name): string {
    return `/run/netns/${this.#name(machine)}`;
  }

  /** What runs a command on a machine. */
  enter(machine: Name): string[] {
    return ['nsenter', `--net=${this.netnsOf(machine)}`];
  }

  /** Pulls a machine's cable, or puts it in again. */
  async setLink(machine: Name, state: 'up' | 'down'): Promise<void> {
    await ip([`link set ${machine} ${state}`], this.#switch);
  }

  /** Has a machine's cable carry 2 Mbit/s, with a queue, or all that it can. */
  async setSlow(machine: Name, isSlow: boolean): Promise<void> {
    const words = ['-n', this.#switch, 'qdisc', isSlow ? 'add' : 'del', 'dev', machine, 'root'];
    const queue = ['tbf', 'rate', '2mbit', 'burst', '4kb', 'latency', `${SLOW_LATENCY_MS}ms`];
    await run('tc', isSlow ? [...words, ...queue] : words);
  }

  /** What of nftables is left on a machine. */
  async tablesOn(machine: Name): Promise<string[]> {
    const [file = '', ...words] = [...this.enter(machine), 'nft', 'list', 'tables'];
    const { stdout } = await run(file, words);
    return stdout.split('\n').filter((line) => line !== '');
  }

  /** Connections that were closed on a machine, and whose last bytes the other end does not have yet. */
  async unsentOn(machine: Name): Promise<string[]> {
    const states = ['state', 'fin-wait-1', 'state', 'closing', 'state', 'last-ack'];
    // What was on its way to a sandbox that lost its power arrives never.
    const between = ['dst', `${this.#network}.0/24`];
    const [file = '', ...words] = [...this.enter(machine), 'ss', '--no-header', '-tn', ...states, ...between];
    const { stdout } = await run(file, words);
    return stdout.split('\n').filter((line) => line !== '');
  }

  /** What is in them ends with the namespaces; processes there have to be over. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of [this.#switch, ...this.#machines.map((machine) => this.#name(machine))]) {
      await run('ip', ['netns', 'del', name]).catch(() => undefined);
    }
  }

  get #switch(): string {
    return `${namespacePrefix(this.#run)}switch`;
  }

  #name(machine: Name): string {
    return namespacePrefix(this.#run) + machine;
  }

  async #make(): Promise<void> {
    const cable = `ic${this.#run.split('-')[0]}`;
    const names = this.#machines.map((machine) => this.#name(machine));
    await ip([
      ...[this.#switch, ...names].map((name) => `netns add ${name}`),
      ...this.#machines.map(
        (machine) =>
          `link add name ${machine} netns ${this.#switch} type veth peer name eth0 netns ${this.#name(machine)}`,
      ),
      `link add name ${cable} type veth peer name tests netns ${this.#switch}`,
      `addr add ${this.#network}.254/24 dev ${cable}`,
      `link set ${cable} up`,
    ]);
    const ports = [...this.#machines, 'tests'];
    await ip(
      [
        'link add name bridge type bridge',
        'link set bridge up',
        ...ports.flatMap((port) => [`link set ${port} master bridge`, `link set ${port} up`]),
      ],
      this.#switch,
    );
    for (const machine of this.#machines) {
      const address = this.addressOf(machine);
      const lines = ['link set lo up', `addr add ${address}/24 dev eth0`, 'link set eth0 up'];
      await ip(lines, this.#name(machine));
    }
  }
}
