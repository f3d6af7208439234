import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import type { nodeProto } from '@islet/contracts';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import {
  type BuildShippedDeps,
  broughtShipped,
  buildShipped,
  type ShippedBuild,
  shippedTemplate,
} from '../up/shipped-template.ts';

const Count = Type.Integer({ minimum: 0, maximum: 2 ** 32 - 1 });
const Text = Type.String({ maxLength: 4096 });

/** What the node wrote down of its build. */
const Note = Type.Object({
  ...{ templateId: Text, buildId: Text, envdVersion: Text, defaultUser: Text, defaultWorkdir: Text },
  ...{ cpuCount: Count, memoryMb: Count, freeDiskMb: Count, diskSizeMb: Count },
});

/** The template `base` of a node that has no database: kept beside its data, and told to whoever has one. */
export class NodeBase {
  readonly #path: string;
  #built: ShippedBuild | undefined;

  constructor(dataDir: string) {
    this.#path = join(dataDir, 'shipped-template.json');
  }

  get service(): Pick<ServiceImpl<typeof nodeProto.ShippedTemplates>, 'getBase'> {
    return {
      getBase: () => {
        if (this.#built) return this.#built;
        throw new ConnectError('the template base is being built', Code.Unavailable);
      },
    };
  }

  /** Builds what of it is missing. */
  async ensure(deps: BuildShippedDeps, signal: AbortSignal): Promise<ShippedBuild> {
    const { buildId: wanted } = await deps.shipped.spec('base');
    const known = await this.#read();
    const isThere = known?.buildId === wanted && deps.runtime.has(wanted);
    const make = async () => buildShipped(deps, await shippedTemplate(deps.shipped, 'base'), signal);
    const built = isThere ? known : ((await broughtShipped(deps, 'base')) ?? (await make()));
    if (!isThere) await this.#write(built);
    this.#built = built;
    return built;
  }

  /** Undefined also if it cannot be read: what it says is found out again then. */
  async #read(): Promise<ShippedBuild | undefined> {
    try {
      const note: unknown = JSON.parse(await readFile(this.#path, 'utf8'));
      return Value.Check(Note, note) ? note : undefined;
    } catch {
      return undefined;
    }
  }

  async #write(built: ShippedBuild): Promise<void> {
    const draft = `${this.#path}.${process.pid}`;
    await writeFile(draft, `${JSON.stringify(built)}\n`, { mode: 0o600, flush: true });
    await rename(draft, this.#path);
  }
}
