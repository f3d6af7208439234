import type { Logger } from '@islet/telemetry';

/** Errors that nobody caught. */
export interface UnexpectedErrors extends Disposable {
  /** Since the start. */
  readonly count: number;
}

/**
 * Has the process outlive errors that nobody caught, each of which is logged and counted: every sandbox and every team of the machine
 * would pay for one of them otherwise.
 */
export function outliveUnexpectedErrors(logger: Logger): UnexpectedErrors {
  let count = 0;
  const take = (how: string) => (error: unknown) => {
    count++;
    logger.error({ err: error, unexpectedErrors: count }, `${how}: this is a fault of Islet, which goes on`);
  };
  const onException = take('an exception was caught by nobody');
  const onRejection = take('a rejection was caught by nobody');
  process.on('uncaughtException', onException);
  process.on('unhandledRejection', onRejection);
  return {
    get count() {
      return count;
    },
    [Symbol.dispose]() {
      process.off('uncaughtException', onException);
      process.off('unhandledRejection', onRejection);
    },
  };
}
