import { randomUUID } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import { type credentialsProto, pauseFor } from '@islet/contracts';

type Answer = credentialsProto.AnswerQuestionRequest['answer'];
type About = MessageInitShape<typeof credentialsProto.QuestionSchema>['about'];

interface Asked {
  id: string;
  about: About;
  /** Who has been given it. */
  follower: Follower | undefined;
  resolve: (answer: Answer) => void;
}

interface Follower {
  waiting: Asked[];
  wake: () => void;
}

/** What is asked and not answered. */
const MOST_ASKED = 2_000;
/** For an answer, ms. */
const ANSWER_MS = 20_000;
const HEARTBEAT_MS = 10_000;

/** Questions of this node, which the APIs that follow it answer. */
export class CredentialQuestions {
  readonly #asked = new Map<string, Asked>();
  readonly #followers = new Set<Follower>();

  get service(): ServiceImpl<typeof credentialsProto.Credentials> {
    const follow = (signal: AbortSignal) => this.#follow(signal);
    return {
      async *followQuestions(_, { signal }) {
        for await (const question of follow(signal)) yield question ? { question } : {};
      },
      answerQuestion: ({ id, answer }) => {
        this.#asked.get(id)?.resolve(answer);
        return {};
      },
    };
  }

  /** @returns undefined if there is no such thing @throws Error if nobody can say, or does not in time */
  async ask(about: About): Promise<{ value: string; version: number } | undefined> {
    if (this.#asked.size >= MOST_ASKED) throw new Error('too many credentials are being asked for');
    const id = randomUUID();
    let timer: NodeJS.Timeout | undefined;
    try {
      const answer = await new Promise<Answer>((resolve, reject) => {
        timer = setTimeout(() => reject(new Error('no API has answered for a credential')), ANSWER_MS);
        const asked = { id, about, follower: undefined, resolve };
        this.#asked.set(id, asked);
        this.#give(asked);
      });
      if (answer.case === 'absent') return undefined;
      if (answer.case !== 'credential') throw new Error('an API could not say a credential');
      return { value: answer.value.value, version: answer.value.version };
    } finally {
      clearTimeout(timer);
      this.#asked.delete(id);
    }
  }

  async *#follow(signal: AbortSignal): AsyncGenerator<(Pick<Asked, 'id'> & { about: About }) | undefined> {
    const follower: Follower = { waiting: [], wake: () => undefined };
    this.#followers.add(follower);
    try {
      for (const asked of this.#asked.values()) if (!asked.follower) this.#give(asked);
      yield undefined;
      while (!signal.aborted) {
        const next = follower.waiting.shift();
        if (next) {
          if (this.#asked.has(next.id)) yield { id: next.id, about: next.about };
          continue;
        }
        const woken = new AbortController();
        follower.wake = () => woken.abort();
        await pauseFor(HEARTBEAT_MS, AbortSignal.any([signal, woken.signal]));
        if (!woken.signal.aborted && !signal.aborted) yield undefined;
      }
    } finally {
      this.#followers.delete(follower);
      // Another one may know.
      for (const asked of this.#asked.values()) {
        if (asked.follower !== follower) continue;
        asked.follower = undefined;
        this.#give(asked);
      }
    }
  }

  /** In turn, so that no API has all of them. */
  #give(asked: Asked): void {
    const [follower] = this.#followers;
    if (!follower) return;
    this.#followers.delete(follower);
    this.#followers.add(follower);
    asked.follower = follower;
    follower.waiting.push(asked);
    follower.wake();
  }
}
