import {
  endEventId,
  executionOf,
  orchestratorProto,
  type Sandbox,
  type SandboxEventType,
  type SandboxLifeEvent,
  type SandboxLog,
} from '@islet/contracts';
import type { EventSink, LifeMemory, LogSink } from '@islet/sinks';
import type { SandboxEvent } from '../sandbox/events.ts';
import { orderedIds } from './event-ids.ts';

const { KillReason, SandboxState } = orchestratorProto;
type SandboxConfig = orchestratorProto.SandboxConfig;

/** The reasons that the protocol knows; of every other one it says `unknown`. */
const KILL_REASONS: Partial<Record<orchestratorProto.KillReason, string>> = {
  [KillReason.REQUEST]: 'request',
  [KillReason.TIMEOUT]: 'timeout',
  [KillReason.ADMIN]: 'admin',
  [KillReason.ORPHANED]: 'orphaned',
};

export interface LifeNotesOptions {
  logs: LogSink;
  events: EventSink;
  /** What was last said of each sandbox, over restarts of the node; absent: nobody remembers. */
  memory?: LifeMemory | undefined;
  /** Unix ms. */
  now: () => number;
}

/** A sandbox as it was last seen running, paused, or stopped to be moved: its owner is not told of that as of a pause. */
interface Seen {
  isPaused: boolean;
  isMoving: boolean;
  executionId: string;
  endAtMs: number;
  egress: string;
}

/** What an event says beside what and whose it is. */
type Details = Pick<SandboxLifeEvent, 'execution' | 'killReason' | 'endAtMs' | 'egress'>;

/** Notes for the owners of sandboxes what happens to these: as logs that they read, and as events of the protocol. */
export class LifeNotes {
  readonly #options: LifeNotesOptions;
  readonly #newId: () => string;
  readonly #seen: Map<string, Seen>;

  /**
   * @param known sandboxes that lived before the first event: nothing is noted of what they are already, unless a process before
   *   this one was killed between a change and its note
   */
  constructor(known: readonly Sandbox[], options: LifeNotesOptions) {
    this.#options = options;
    this.#newId = orderedIds(options.now);
    this.#seen = new Map(known.map((sandbox) => [sandbox.config.sandboxId, seenOf(sandbox)]));
    const { memory } = options;
    if (memory?.remembered) this.#makeUp(known, memory.remembered);
    else for (const sandbox of known) this.#remember(sandbox);
  }

  /** Takes what happened to a sandbox, each sandbox's in its order. */
  hear(event: SandboxEvent): void {
    const { sandbox } = event;
    if (event.kind === 'ended') this.#ended(sandbox, event.reason);
    else if (sandbox.state === SandboxState.RUNNING) this.#runs(sandbox);
    else if (sandbox.state === SandboxState.PAUSED) this.#paused(sandbox);
  }

  /** A running sandbox was saved as a build and goes on. */
  checkpointed(sandbox: Sandbox): void {
    this.#event('checkpointed', sandbox);
  }

  #runs(sandbox: Sandbox): void {
    const { config } = sandbox;
    const before = this.#seen.get(config.sandboxId);
    const seen = seenOf(sandbox);
    this.#seen.set(config.sandboxId, seen);
    if (before?.isMoving) {
      this.#log(config, 'info', 'sandbox was moved', { template_id: config.templateId });
      this.#remember(sandbox);
    } else if (before?.executionId !== seen.executionId) {
      this.#log(config, 'info', 'sandbox runs', { template_id: config.templateId });
      this.#event(before ? 'resumed' : 'created', sandbox);
      this.#remember(sandbox);
      return;
    }
    if (!before) return;
    const { allowOut = [], denyOut = [] } = config.egress ?? {};
    const changed = {
      ...(before.endAtMs !== seen.endAtMs && { endAtMs: seen.endAtMs }),
      ...(before.egress !== seen.egress && { egress: { allowOut: [...allowOut], denyOut: [...denyOut] } }),
    };
    if (Object.keys(changed).length > 0) this.#event('updated', sandbox, changed);
  }

  #paused(sandbox: Sandbox): void {
    const { config } = sandbox;
    const before = this.#seen.get(config.sandboxId);
    this.#seen.set(config.sandboxId, seenOf(sandbox));
    // One that nobody here has seen running was taken over: its pause was noted where it ran.
    if (!before) this.#remember(sandbox);
    if (!before || before.isPaused || sandbox.moving) return;
    this.#log(config, 'info', 'sandbox is paused', { template_id: config.templateId });
    this.#event('paused', sandbox, { execution: executionOf(sandbox, sandbox.endAtMs) });
  }

  #ended(sandbox: Sandbox, reason: orchestratorProto.KillReason): void {
    const { config } = sandbox;
    const wasPaused = this.#seen.get(config.sandboxId)?.isPaused;
    this.#seen.delete(config.sandboxId);
    // It lives on elsewhere, and is noted there.
    if (reason === KillReason.TAKEN_OVER) {
      this.#options.memory?.forget(config.sandboxId);
      return;
    }
    const level = reason === KillReason.EXITED ? 'error' : 'info';
    this.#log(config, level, 'sandbox ended', { kill_reason: KillReason[reason].toLowerCase() });
    const until = wasPaused ? sandbox.endAtMs : this.#options.now();
    this.#event('killed', sandbox, {
      killReason: KILL_REASONS[reason] ?? 'unknown',
      execution: executionOf(sandbox, until),
    });
  }

  /** Notes what a process before this one has done and was killed before it could say so, and what ended without one. */
  #makeUp(known: readonly Sandbox[], remembered: ReadonlyMap<string, SandboxLifeEvent>): void {
    const there = new Set(known.map(({ config }) => config.sandboxId));
    for (const sandbox of known) {
      const last = remembered.get(sandbox.config.sandboxId);
      if (sandbox.state === SandboxState.RUNNING) {
        if (last?.executionId !== sandbox.executionId) this.#event(last ? 'resumed' : 'created', sandbox);
      } else if (last && last.type !== 'paused' && !sandbox.moving) {
        this.#event('paused', sandbox, { execution: executionOf(sandbox, sandbox.endAtMs) });
      }
      this.#remember(sandbox);
    }
    for (const last of remembered.values()) if (!there.has(last.sandboxId)) this.#lost(last);
  }

  /** Nothing is left of a sandbox but what was last said of it. */
  #lost({ execution, endAtMs, egress, ...last }: SandboxLifeEvent): void {
    const { events, now } = this.#options;
    const untilMs = Math.min(now(), endAtMs ?? now());
    events.record({
      ...last,
      ...{ id: endEventId(last.executionId), type: 'killed', timeMs: now(), killReason: 'orphaned' },
      ...(execution && {
        execution: { ...execution, lengthMs: Math.max(untilMs - execution.startedAtMs, 0) },
      }),
    });
  }

  /** What the next process has to know of a sandbox if this one is killed. */
  #remember(sandbox: Sandbox): void {
    const { memory, now } = this.#options;
    if (!memory) return;
    const { config, executionId, startedAtMs, endAtMs } = sandbox;
    const { sandboxId, teamId, templateId, buildId, metadata } = config;
    memory.remember({
      ...{ id: '', type: sandbox.state === SandboxState.PAUSED ? 'paused' : 'resumed', timeMs: now() },
      ...{ sandboxId, teamId, executionId, templateId, buildId, metadata: { ...metadata } },
      ...{ execution: executionOf(sandbox, startedAtMs), endAtMs },
    });
  }

  #log(
    { sandboxId, teamId }: SandboxConfig,
    level: SandboxLog['level'],
    message: string,
    fields: Record<string, string>,
  ): void {
    const { logs, now } = this.#options;
    logs.record({ sandboxId, teamId, timeMs: now(), level, logger: 'orchestrator', message, fields });
  }

  #event(type: SandboxEventType, { config, executionId }: Sandbox, details: Details = {}): void {
    const { events, now } = this.#options;
    const { sandboxId, teamId, templateId, buildId, metadata, eventsTtlDays } = config;
    const id = type === 'killed' ? endEventId(executionId) : this.#newId();
    events.record({
      ...{ id, type, timeMs: now(), sandboxId, teamId, executionId, templateId, buildId },
      metadata: { ...metadata },
      ...(eventsTtlDays !== undefined && { ttlDays: eventsTtlDays }),
      ...details,
    });
  }
}

function seenOf({ config, state, moving, executionId, endAtMs }: Sandbox): Seen {
  const { allowInternetAccess, allowOut, denyOut, learning, domainRules, proxy } = config.egress ?? {};
  return {
    isPaused: state === SandboxState.PAUSED && !moving,
    isMoving: state === SandboxState.PAUSED && moving,
    ...{ executionId, endAtMs },
    egress: JSON.stringify([allowInternetAccess, allowOut, denyOut, learning, domainRules, proxy]),
  };
}
