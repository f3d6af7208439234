import { explainError, type Reporter } from './reporter.ts';

/** One JSON object a line; `event` says what it is. */
export function createJsonReporter(write: (text: string) => void, clock: () => number): Reporter {
  const emit = (event: string, fields: object) => write(`${JSON.stringify({ event, ...fields })}\n`);
  return {
    step(id, title) {
      const from = clock();
      emit('step', { step: id, message: title });
      return {
        progress: (message, progress) => emit('progress', { step: id, message, progress }),
        output: (message) => emit('progress', { step: id, message }),
        done: (result) =>
          emit('done', { step: id, message: result ?? title, ms: Math.round(clock() - from) }),
      };
    },
    ready: (info) => emit('ready', info),
    serving: (info) => emit('ready', info),
    note: (message) => emit('note', { message }),
    error: (error) => emit('error', explainError(error)),
    stopping: (reason) => emit('stopping', { reason }),
    stopped: () => emit('stopped', {}),
  };
}
