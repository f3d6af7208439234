/** Steps back, in reverse order, what was done before something failed. Every step is tried, even after another failed. */
export class Undo {
  readonly #steps: (() => Promise<void> | void)[] = [];

  add(step: () => Promise<void> | void): void {
    this.#steps.push(step);
  }

  /** @throws AggregateError with all that failed. */
  async run(): Promise<void> {
    const failures: unknown[] = [];
    for (const step of this.#steps.splice(0).reverse()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) {
      const messages = failures.map(messageOf).join('; ');
      throw new AggregateError(failures, `not everything could be undone: ${messages}`);
    }
  }

  /** Takes all back after an error. @returns what to throw: that error, or both where something could not be undone. */
  async after(error: unknown): Promise<unknown> {
    try {
      await this.run();
      return error;
    } catch (failure) {
      const message = `${messageOf(error)} (then ${messageOf(failure)})`;
      return new AggregateError([error, failure], message, { cause: error });
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
