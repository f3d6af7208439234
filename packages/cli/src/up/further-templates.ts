import type { Logger } from '@islet/telemetry';
import { type ShippedTemplate, shippedTemplateId } from '@islet/template-manager';
import { OptionError } from '../options/spec.ts';
import { explainError, type Step } from '../output/reporter.ts';

/** How far the build of a template is that ships with Islet. */
export type FurtherState =
  | { state: 'building'; message: string /** 0…1, if known. */; share: number | null }
  | { state: 'ready'; name: string; templateId: string; buildId: string }
  | { state: 'failed'; message: string };

/** What makes them: a node for itself, or an API by its nodes. */
export interface FurtherMaker {
  /** Whether a template is offered, be it one of an older Islet. */
  isOffered(template: ShippedTemplate): Promise<boolean>;
  /** Whether sandboxes can start from one that was made. */
  isThere(template: ShippedTemplate): Promise<boolean>;
  /** Resolves with the id of its build when it is there and up to date. @throws Error if it cannot be made */
  make(template: ShippedTemplate, step: FurtherStep, signal: AbortSignal): Promise<{ buildId: string }>;
}

/** Begins to tell of a build. */
export type FurtherStep = (id: string, title: string) => Step;

export interface FurtherTemplatesOptions {
  /** All templates that ship with Islet. */
  known: readonly ShippedTemplate[];
  maker: FurtherMaker;
  logger: Logger;
}

/**
 * The templates that ship with Islet besides `base`: each is built once, when it is first asked for. One at a time, since a build
 * takes a core and the disk's writes for minutes.
 */
export class FurtherTemplates implements AsyncDisposable {
  readonly #options: FurtherTemplatesOptions;
  readonly #known: readonly ShippedTemplate[];
  readonly #states = new Map<string, FurtherState>();
  readonly #stop = new AbortController();
  #last: Promise<void> = Promise.resolve();

  constructor(options: FurtherTemplatesOptions) {
    this.#options = options;
    this.#known = options.known.filter(({ folder }) => folder !== 'base');
  }

  /** What they are called, for messages. */
  get folders(): string[] {
    return this.#known.map(({ folder }) => folder);
  }

  /** @throws OptionError if one is none of them */
  named(texts: readonly string[]): ShippedTemplate[] {
    return texts.map((text) => {
      const found = this.find(text);
      if (found) return found;
      throw new OptionError(`--with takes ${this.folders.join(', ')}, not "${text}"`);
    });
  }

  /** By folder or by the name that sandboxes are created by. */
  find(text: string): ShippedTemplate | undefined {
    return this.#known.find(({ folder, name }) => text === folder || text === name);
  }

  /** How far a template is; a failure if nobody has asked for it. */
  read({ folder }: ShippedTemplate): FurtherState {
    return this.#states.get(folder) ?? { state: 'failed', message: 'nobody has asked for it' };
  }

  /** Says how far a template is; begins to build it if it is not there and nobody has. */
  async build(template: ShippedTemplate): Promise<FurtherState> {
    const isThere = await this.#options.maker.isThere(template);
    const known = this.#states.get(template.folder);
    // One that was ready may have been deleted since, as any template.
    if (known?.state === 'building' || (known?.state === 'ready' && isThere)) return known;
    const waiting: FurtherState = { state: 'building', message: 'waits for its turn', share: null };
    this.#states.set(template.folder, waiting);
    this.#last = this.#last.then(() => this.#run(template));
    return waiting;
  }

  /** As `build`, for a request that names a template which is not there. */
  async use(name: string): Promise<{ progress: string; failure?: string } | undefined> {
    const template = this.#known.find((known) => known.name === name);
    if (!template) return undefined;
    const last = this.#states.get(template.folder);
    const state = await this.build(template);
    // Told once: the build has begun again by now.
    if (last?.state === 'failed') return { progress: '', failure: last.message };
    if (state.state === 'failed') return { progress: '', failure: state.message };
    if (state.state === 'ready') return { progress: 'just done' };
    const percent = state.share === null ? '' : `${Math.round(state.share * 100)} %, `;
    return { progress: `${percent}${state.message}` };
  }

  /** Resolves when it is built. @throws Error if it cannot be */
  async ensure(template: ShippedTemplate, step: FurtherStep, signal: AbortSignal): Promise<void> {
    const { folder, name } = template;
    const { buildId } = await this.#options.maker.make(template, step, signal);
    this.#states.set(folder, { state: 'ready', name, templateId: shippedTemplateId(folder), buildId });
  }

  /** Builds those anew that this Islet would start otherwise than they were built: after an update of Islet, or of the runtime. */
  async renew(): Promise<void> {
    for (const template of this.#known) {
      if (this.#states.has(template.folder)) continue;
      if (await this.#options.maker.isOffered(template)) await this.build(template);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#last;
  }

  async #run(template: ShippedTemplate): Promise<void> {
    const { logger } = this.#options;
    const { folder } = template;
    if (this.#stop.signal.aborted) return;
    try {
      await this.ensure(template, () => this.#stepOf(template), this.#stop.signal);
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      logger.error({ err: error, template: folder }, 'a template that ships with Islet cannot be built');
      const { message, causes } = explainError(error);
      this.#states.set(folder, { state: 'failed', message: [message, ...causes].join(': ') });
    }
  }

  #stepOf({ folder }: ShippedTemplate): Step {
    const { logger } = this.#options;
    let told = 0;
    return {
      progress: (message, share) => {
        const last = this.#states.get(folder);
        const lastShare = last?.state === 'building' ? last.share : null;
        this.#states.set(folder, { state: 'building', message, share: share ?? lastShare });
        if (share === undefined || share - told >= 0.1) {
          told = share ?? told;
          logger.info({ template: folder, share }, `building a template: ${message}`);
        }
      },
      output: () => {},
      done: (result) => logger.info({ template: folder }, result ?? 'built'),
    };
  }
}
