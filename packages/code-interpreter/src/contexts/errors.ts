/** No context has this id. 404. */
export class ContextNotFoundError extends Error {
  override readonly name = 'ContextNotFoundError';

  constructor(readonly id: string) {
    super(`Context ${id} not found`);
  }
}

/** The language is not installed, or not known. 500, as the SDK knows it. */
export class LanguageNotFoundError extends Error {
  override readonly name = 'LanguageNotFoundError';

  constructor(language: string) {
    super(`No kernel for the language ${JSON.stringify(language)} is installed in this sandbox`);
  }
}

/** More than this sandbox has room for. 429. */
export class TooManyError extends Error {
  override readonly name = 'TooManyError';
}
