import type { Hearings } from '@islet/catalog';
import type { Logger } from '@islet/telemetry';
import type { Clock } from '../deps.ts';

export interface NodeSilenceOptions {
  nodeId: string;
  /** After so long a silence what ran on a node counts as lost, ms. */
  lossAfterMs: number;
  /** What other control planes hear. Absent: there are none. */
  hearings: Hearings | undefined;
  /** What ran on it is lost. @param sinceMs Unix ms */
  onLoss: (sinceMs: number) => void;
  clock: Clock;
  logger: Logger;
}

/** A link that breaks off has at least this share of the time to loss to be made again: this process may have stood still itself. */
const LEAST_SHARE = 1 / 7;
/** Before the others are asked again if they cannot be, ms. */
const AGAIN_MS = 1_000;

/** Decides when what runs on a node in another process is lost, together with the other control planes. */
export class NodeSilence implements Disposable {
  readonly #options: NodeSilenceOptions;
  /** When it last said something, monotonic ms. */
  #heardAt: number | undefined;
  /** As `#heardAt`, as the others were told it. */
  #toldAt: number | undefined;
  #isBroken = false;
  #isLost = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: NodeSilenceOptions) {
    this.#options = options;
    // It may have died before this began, with what others have told of it.
    this.#heardAt = options.hearings && options.clock.monotonic();
    this.#toldAt = this.#heardAt;
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  /** How long ago it said what the others were not told of yet, ms. They are now. */
  tell(): number | undefined {
    if (this.#heardAt === undefined || this.#heardAt === this.#toldAt) return undefined;
    this.#toldAt = this.#heardAt;
    return this.#options.clock.monotonic() - this.#heardAt;
  }

  heard(): void {
    this.#heardAt = this.#options.clock.monotonic();
  }

  /** It tells what lives there again. */
  back(): void {
    this.#isBroken = false;
    this.#isLost = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Its events broke off, or it does not answer. */
  broken(): void {
    const { clock, lossAfterMs } = this.#options;
    this.#isBroken = true;
    if (this.#heardAt === undefined || this.#timer || this.#isLost) return;
    const leftMs = lossAfterMs - (clock.monotonic() - this.#heardAt);
    this.#decideAfter(Math.max(leftMs, lossAfterMs * LEAST_SHARE));
  }

  [Symbol.dispose](): void {
    this.back();
  }

  #decideAfter(ms: number): void {
    this.#timer = setTimeout(() => void this.#decide(), ms).unref();
  }

  async #decide(): Promise<void> {
    const { clock, hearings, lossAfterMs, logger, nodeId } = this.#options;
    if (!hearings) return this.#lose(clock.now());
    try {
      const silence = await hearings.lose(nodeId, lossAfterMs);
      if (!this.#isBroken) return;
      if (silence.isLost) this.#lose(silence.sinceMs);
      else this.#decideAfter(silence.leftMs + 1);
    } catch (error) {
      logger.debug({ err: error, nodeId }, 'it is not known whether others hear a node');
      if (this.#isBroken) this.#decideAfter(AGAIN_MS);
    }
  }

  #lose(sinceMs: number): void {
    const { logger, nodeId, onLoss } = this.#options;
    logger.error({ nodeId }, 'a node is silent: what ran on it counts as lost until it is back');
    this.#timer = undefined;
    this.#isLost = true;
    onLoss(sinceMs);
  }
}
