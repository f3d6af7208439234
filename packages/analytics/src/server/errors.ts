/** The server answered with an exception of its own. */
export class ServerException extends Error {
  /** ClickHouse's number of it; 0 if it named none. */
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = 'ServerException';
    this.code = code;
  }
}

/** No answer, or none that could be understood. */
export class ServerUnreachable extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'ServerUnreachable';
  }
}

/** Numbers of exceptions that say what is wrong with the credentials or rights that we came with. */
const REFUSALS = [192, 193, 194, 497, 516];

/** True if nobody but the operator can change that. */
export function isRefusal(error: unknown): error is ServerException {
  return error instanceof ServerException && REFUSALS.includes(error.code);
}

/** Numbers of exceptions that say that a row cannot be read: text, numbers, times, types, lengths. */
const UNREADABLE = [6, 25, 26, 27, 32, 33, 38, 41, 53, 69, 72, 117, 131, 321, 349, 441];

/** True if the same rows will be refused whenever they come. */
export function isUnreadable(error: unknown): error is ServerException {
  return error instanceof ServerException && UNREADABLE.includes(error.code);
}
