/** What the server has answered to a request that asks for another protocol. */
export type UpgradeAnswer = 'more' | 'switched' | 'refused';

const MOST_HEAD_BYTES = 64 * 1024;
const HEAD_END = Buffer.from('\r\n\r\n');
const STATUS = /^HTTP\/1\.1 (\d{3})(?: |\r)/;

/** Looks at the heads of a connection's first answers, up to the one that is not interim. */
export class AnswerWatch {
  #held = Buffer.alloc(0);

  push(piece: Buffer): UpgradeAnswer {
    this.#held = Buffer.concat([this.#held, piece]);
    for (;;) {
      const end = this.#held.indexOf(HEAD_END);
      if (end === -1) return this.#held.length > MOST_HEAD_BYTES ? 'refused' : 'more';
      const status = Number(STATUS.exec(this.#held.toString('latin1', 0, 16))?.[1]);
      if (status === 101) return 'switched';
      if (!(status >= 100 && status < 200)) return 'refused';
      this.#held = this.#held.subarray(end + HEAD_END.length);
    }
  }
}
