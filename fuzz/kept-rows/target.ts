import { readFrames } from '../../packages/sinks/src/segments/frames.ts';
import { isWritable, parseRow } from '../../packages/sinks/src/segments/rows.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  description: 'a file of rows that are kept, of which sandboxes write a part',
  run(input) {
    let end = 0;
    for (const frame of readFrames(input)) {
      if (frame.start !== end || frame.end > input.length) throw new TypeError('a frame beside the file');
      end = frame.end;
      parseRow(frame.payload.toString('utf8'));
    }
    // As if the checksum had been right.
    const row = parseRow(input.toString('utf8'));
    if (row && !isWritable(row)) throw new TypeError('a row that could not have been written');
  },
};
