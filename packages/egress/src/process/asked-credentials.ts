import type { FromGateway, ToGateway } from '../control/messages.ts';
import type { Credentials } from '../credentials.ts';

type Answer = Extract<ToGateway, { type: 'answer' }>;
type Ask = Extract<FromGateway, { type: 'ask' }>;

/** For an answer, ms. */
const ANSWER_MS = 25_000;

/** Asks the node for what rules name. */
export class AskedCredentials implements Credentials {
  readonly #send: (ask: Ask) => void;
  readonly #asked = new Map<number, { resolve: (answer: Answer) => void; timer: NodeJS.Timeout }>();
  #nextId = 0;

  constructor(send: (ask: Ask) => void) {
    this.#send = send;
  }

  /** @throws Error if the node cannot say, or does not */
  async secret(teamId: string, name: string): Promise<{ value: string; version: number } | undefined> {
    const { value, version } = await this.#ask({ about: 'secret', of: teamId, name });
    return value === undefined || version === undefined ? undefined : { value, version };
  }

  /** @throws Error if the node cannot say, or does not */
  async token({ address }: { address: string }, name: string): Promise<string | undefined> {
    return (await this.#ask({ about: 'token', of: address, name })).value;
  }

  /** @throws Error if the node cannot say, or does not */
  async certificate(domain: string, publicKey: string): Promise<string | undefined> {
    return (await this.#ask({ about: 'certificate', of: domain, name: publicKey })).value;
  }

  /** Hands an answer to whoever asked. */
  answer(answer: Answer): void {
    const asked = this.#asked.get(answer.id);
    this.#asked.delete(answer.id);
    clearTimeout(asked?.timer);
    asked?.resolve(answer);
  }

  async #ask(question: Pick<Ask, 'about' | 'of' | 'name'>): Promise<Answer> {
    const id = this.#nextId++;
    const answer = await new Promise<Answer>((resolve) => {
      const timer = setTimeout(() => this.answer({ type: 'answer', id, failed: true }), ANSWER_MS);
      this.#asked.set(id, { resolve, timer });
      this.#send({ type: 'ask', id, ...question });
    });
    if (answer.failed) throw new Error(`the node could not say the ${question.about}`);
    return answer;
  }
}
