import type { Client } from '@connectrpc/connect';
import { type credentialsProto, pauseFor } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import type { IdentityTokens, Secrets } from '@islet/vault';
import type { DiscoveredNode, NodeDiscovery } from '../nodes/discovery.ts';
import type { KnownSandboxes } from '../sandboxes/known-sandboxes.ts';
import { mayAsk } from './may-ask.ts';

type CredentialsClient = Client<typeof credentialsProto.Credentials>;
type Question = credentialsProto.Question;

export interface CredentialAnswersOptions {
  discovery: NodeDiscovery;
  sandboxes: KnownSandboxes;
  secrets: Pick<Secrets, 'resolve'>;
  identity: Pick<IdentityTokens, 'mint'>;
  logger: Logger;
}

const AGAIN_MS = 500;
const ANSWER_MS = 10_000;
/** A node says something every 10 s; one that says nothing for so long is asked anew. */
const SILENCE_MS = 35_000;

/**
 * For this API to hear of a sandbox whose node asks for it already, ms: it begins, resumes or has just been moved there. What a
 * node tells comes within milliseconds.
 */
const NEWS_MS = 3_000;
const LOOK_MS = 50;

/** Answers nodes what rules of their sandboxes name, and no others'. */
export class CredentialAnswers implements AsyncDisposable {
  readonly #options: CredentialAnswersOptions;
  readonly #followed = new Map<DiscoveredNode, AbortController>();
  readonly #loops = new Set<Promise<void>>();
  readonly #stopDiscovery: () => void;

  constructor(options: CredentialAnswersOptions) {
    this.#options = options;
    this.#stopDiscovery = options.discovery.watch((nodes) => this.#take(nodes));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopDiscovery();
    for (const stop of this.#followed.values()) stop.abort();
    await Promise.all(this.#loops);
  }

  #take(nodes: readonly DiscoveredNode[]): void {
    const present = new Set(nodes);
    for (const [node, stop] of this.#followed) {
      if (present.has(node)) continue;
      stop.abort();
      this.#followed.delete(node);
    }
    for (const node of nodes) {
      const { credentials } = node.link;
      if (!credentials || this.#followed.has(node)) continue;
      const stop = new AbortController();
      this.#followed.set(node, stop);
      const loop = this.#follow(node.id, credentials, stop.signal).finally(() => this.#loops.delete(loop));
      this.#loops.add(loop);
    }
  }

  async #follow(nodeId: string, client: CredentialsClient, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const silence = new AbortController();
      let timer = setTimeout(() => silence.abort(), SILENCE_MS);
      try {
        const questions = client.followQuestions({}, { signal: AbortSignal.any([signal, silence.signal]) });
        for await (const { question } of questions) {
          clearTimeout(timer);
          timer = setTimeout(() => silence.abort(), SILENCE_MS);
          if (question) void this.#answer(nodeId, client, question, signal);
        }
      } catch (error) {
        if (!signal.aborted)
          this.#options.logger.debug({ err: error, nodeId }, 'a node asks for no credentials now');
      } finally {
        clearTimeout(timer);
      }
      await pauseFor(AGAIN_MS, signal);
    }
  }

  async #answer(
    nodeId: string,
    client: CredentialsClient,
    { id, about }: Question,
    signal: AbortSignal,
  ): Promise<void> {
    const { logger } = this.#options;
    const found = await this.#findFor(nodeId, about, signal).catch((error: unknown) => {
      logger.error({ err: error, about: about.case }, 'a credential for an egress rule cannot be had');
      return 'failed' as const;
    });
    const answer =
      found === 'failed'
        ? { case: 'failed' as const, value: {} }
        : found === undefined
          ? { case: 'absent' as const, value: {} }
          : { case: 'credential' as const, value: found };
    await client
      .answerQuestion({ id, answer }, { signal, timeoutMs: ANSWER_MS })
      .catch((error: unknown) => logger.debug({ err: error }, 'a node does not take an answer'));
  }

  /** Undefined also if none of the node's sandboxes is one that this is for. */
  async #findFor(nodeId: string, about: Question['about'], signal: AbortSignal) {
    const { sandboxes, logger } = this.#options;
    const until = performance.now() + NEWS_MS;
    while (!mayAsk(sandboxes, nodeId, about)) {
      if (signal.aborted || performance.now() >= until) {
        logger.warn(
          { nodeId, teamId: about.value?.teamId, about: about.case },
          'a node asks for a credential of a team that has no sandbox there: it is given none',
        );
        return undefined;
      }
      await pauseFor(LOOK_MS, signal);
    }
    return this.#find(about);
  }

  async #find(about: Question['about']): Promise<{ value: string; version?: number } | undefined> {
    const { secrets, identity } = this.#options;
    switch (about.case) {
      case 'secret':
        return secrets.resolve(about.value.teamId, about.value.name);
      case 'token':
        return { value: await identity.mint(about.value, about.value.audience) };
      case undefined:
        return undefined;
    }
  }
}
