import { run } from './run.ts';

/** Addresses of the pairs: nothing outside their namespaces sees them. */
const PEER = '192.0.2.1/30';
const OWN = '192.0.2.2/30';
const GATEWAY = '192.0.2.1';

/**
 * Network namespaces with an eth0, its address and a default route, as a sandbox has them. The other ends of the pairs lie
 * in one more namespace, so that the host's own network does not change.
 */
export class NetworkNamespaces implements AsyncDisposable {
  readonly #prefix: string;
  readonly #made = new Set<string>();
  #count = 0;

  /** `prefix`: of the namespaces' names; at most 12 characters. */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** Makes one more. */
  async add(): Promise<string> {
    if (this.#made.size === 0) await this.#addOne(`${this.#prefix}-peer`);
    const index = this.#count++;
    const name = `${this.#prefix}-${index}`;
    await this.#addOne(name);
    const peer = `b${index}`;
    await ip([`link add ${peer} netns ${this.#prefix}-peer type veth peer name eth0 netns ${name}`]);
    await ip([`addr add ${PEER} dev ${peer}`, `link set ${peer} up`], `${this.#prefix}-peer`);
    await ip(
      ['link set lo up', `addr add ${OWN} dev eth0`, 'link set eth0 up', `route add default via ${GATEWAY}`],
      name,
    );
    return name;
  }

  async #addOne(name: string): Promise<void> {
    await ip([`netns add ${name}`]);
    this.#made.add(name);
  }

  async remove(name: string): Promise<void> {
    await ip([`netns del ${name}`]);
    this.#made.delete(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of [...this.#made]) await this.remove(name);
  }
}

function ip(lines: readonly string[], netns?: string): Promise<void> {
  return run(['ip', ...(netns === undefined ? [] : ['-n', netns]), '-batch', '-'], {
    input: `${lines.join('\n')}\n`,
  });
}
