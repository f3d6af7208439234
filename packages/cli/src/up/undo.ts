/** What was made step by step and has to be taken down in reverse. */
export class Undo implements AsyncDisposable {
  readonly #steps: { name: string; run: () => Promise<unknown> | unknown }[] = [];

  add(name: string, run: () => Promise<unknown> | unknown): void {
    this.#steps.push({ name, run });
  }

  /** Takes everything down, also where a part of it fails. @throws AggregateError naming what failed. */
  async [Symbol.asyncDispose](): Promise<void> {
    const errors: Error[] = [];
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step.run();
      } catch (cause) {
        errors.push(new Error(`stopping ${step.name} failed`, { cause }));
      }
    }
    if (errors.length > 0) {
      throw new AggregateError(errors, errors.map((error) => error.message).join('; '), { cause: errors[0] });
    }
  }
}
