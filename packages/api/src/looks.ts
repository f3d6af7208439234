/** Looks at something that changes, one look at a time. Who asks while one is under way waits for another behind it: that one may be too early. */
export class Looks {
  readonly #look: () => Promise<void>;
  #underWay: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  /** @param look must not throw */
  constructor(look: () => Promise<void>) {
    this.#look = look;
  }

  /** Resolves behind a look that began with this call or later. */
  ask(): Promise<void> {
    if (!this.#underWay) return this.#begin();
    this.#next ??= this.#underWay.then(() => {
      this.#next = undefined;
      return this.#begin();
    });
    return this.#next;
  }

  /** Waits for what is under way. */
  async settled(): Promise<void> {
    await (this.#next ?? this.#underWay);
  }

  #begin(): Promise<void> {
    this.#underWay = this.#look().finally(() => {
      this.#underWay = undefined;
    });
    return this.#underWay;
  }
}
