/** Takes back, in reverse order, what was made step by step. Every step is tried, even after another failed. */
export class Undo implements AsyncDisposable {
  readonly #steps: { made: string; takeBack: () => unknown }[] = [];

  /** @param made what an error calls it, such as `the network slot` */
  add(made: string, takeBack: () => unknown): void {
    this.#steps.push({ made, takeBack });
  }

  /** Safe to repeat. @throws AggregateError that names all that could not be taken back */
  async run(): Promise<void> {
    const failures: Error[] = [];
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step.takeBack();
      } catch (cause) {
        failures.push(new Error(`${step.made} could not be taken back: ${messageOf(cause)}`, { cause }));
      }
    }
    if (failures.length === 0) return;
    throw new AggregateError(failures, failures.map(messageOf).join('; '), { cause: failures[0] });
  }

  /** Takes all back after an error. @returns what to throw: that error, or both if something could not be taken back */
  async after(error: unknown): Promise<unknown> {
    try {
      await this.run();
      return error;
    } catch (failure) {
      const message = `${messageOf(error)} (then ${messageOf(failure)})`;
      return new AggregateError([error, failure], message, { cause: error });
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.run();
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
