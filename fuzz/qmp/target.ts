import {
  readDrives,
  readMemoryBlock,
  readNodes,
  readStatus,
} from '../../packages/driver-microvm/src/qemu/qmp-answers.ts';
import {
  QmpFormatError,
  type QmpMessage,
  QmpMessages,
} from '../../packages/driver-microvm/src/qemu/qmp-messages.ts';
import { assertSplitInvariant, type Outcome } from '../outcomes.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  description: 'what QEMU says on its monitor, which a guest may have taken over',
  maxBytes: 300_000,
  run(input) {
    const whole = read([input]);
    assertSplitInvariant(input, whole, read);
    for (const message of whole.values as QmpMessage[]) {
      if (message.kind === 'answer')
        for (const readAnswer of ANSWERS) allowed(() => readAnswer(message.value));
    }
  },
};

const ANSWERS = [readStatus, readDrives, readNodes, readMemoryBlock];

function read(pieces: readonly Buffer[]): Outcome {
  const values: QmpMessage[] = [];
  const messages = new QmpMessages(() => 0);
  const error = allowed(() => {
    for (const piece of pieces) for (const message of messages.take(piece)) values.push(message);
  });
  return { values, error };
}

function allowed(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (!(error instanceof QmpFormatError)) throw error;
    return error.message;
  }
}
