import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import type { nodeProto } from '@islet/contracts';
import type { ShippedTemplate } from '@islet/template-manager';
import { type FurtherState, FurtherTemplates } from '../up/further-templates.ts';
import {
  type BuildShippedDeps,
  broughtShipped,
  buildShipped,
  type ShippedBuild,
} from '../up/shipped-template.ts';

type Service = Pick<ServiceImpl<typeof nodeProto.ShippedTemplates>, 'buildFurther'>;

/** Between two looks at a build, ms. */
const LOOK_MS = 500;

/** The templates besides `base` of a node that has no database: made when they are asked for, and told to whoever has one. */
export class NodeFurther implements AsyncDisposable {
  readonly #builds = new Map<string, ShippedBuild>();
  #templates: FurtherTemplates | undefined;

  get service(): Service {
    return { buildFurther: ({ folder }, { signal }) => this.#follow(folder, signal) };
  }

  /**
   * Builds those that are named, and has what is there already kept ready.
   * @throws OptionError if one is none of them, Error if it cannot be built
   */
  async start(deps: BuildShippedDeps, names: readonly string[], signal: AbortSignal): Promise<void> {
    const { shipped, runtime, logger } = deps;
    const isHere = async ({ folder }: ShippedTemplate) => runtime.has((await shipped.spec(folder)).buildId);
    const templates = new FurtherTemplates({
      ...{ known: await shipped.list(), logger },
      maker: {
        ...{ isOffered: isHere, isThere: isHere },
        make: async (template, step, stop) => {
          const { folder } = template;
          const build =
            (await broughtShipped(deps, folder)) ?? (await buildShipped({ ...deps, step }, template, stop));
          runtime.keepWarm(build.buildId);
          this.#builds.set(folder, build);
          return build;
        },
      },
    });
    this.#templates = templates;
    for (const template of templates.named(names)) await templates.ensure(template, deps.step, signal);
    await templates.renew();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#templates?.[Symbol.asyncDispose]();
  }

  async *#follow(folder: string, signal: AbortSignal) {
    if (!this.#templates) throw new ConnectError('the node is starting', Code.Unavailable);
    const template = this.#templates.find(folder);
    if (!template) throw new ConnectError(`no template ${folder} comes with this Islet`, Code.NotFound);
    let told = '';
    for (let state = await this.#templates.build(template); ; state = this.#templates.read(template)) {
      const now = JSON.stringify(state);
      if (now !== told) yield { state: this.#message(folder, state) };
      if (state.state !== 'building') return;
      told = now;
      await sleep(LOOK_MS, undefined, { signal });
    }
  }

  #message(folder: string, state: FurtherState) {
    if (state.state === 'building') {
      const { message, share } = state;
      return { case: 'building', value: { message, ...(share !== null && { share }) } } as const;
    }
    const build = this.#builds.get(folder);
    if (state.state === 'ready' && build) return { case: 'ready', value: build } as const;
    const message = state.state === 'failed' ? state.message : 'it is not there any more';
    return { case: 'failure', value: { message } } as const;
  }
}
