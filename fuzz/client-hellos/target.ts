import { normalName } from '../../packages/egress/src/decision/names.ts';
import { ClientHelloReader, type HelloReading } from '../../packages/egress/src/sniff/client-hello.ts';
import type { FuzzTarget } from '../target.ts';

/** The first byte is the length of the pieces that the rest comes in the second time. */
export const target: FuzzTarget = {
  description: 'how a TLS connection of a sandbox begins, whose name decides where it goes',
  run(input) {
    const bytes = input.subarray(1);
    const whole = read(bytes, bytes.length);
    const inPieces = read(bytes, input[0] || 1);
    if (JSON.stringify(whole) !== JSON.stringify(inPieces)) {
      throw new Error(`in pieces it is ${JSON.stringify(inPieces)}, and ${JSON.stringify(whole)} as a whole`);
    }
    if (whole.is === 'hello' && whole.name !== undefined && normalName(whole.name) !== whole.name) {
      throw new Error(`a name '${whole.name}'`);
    }
  },
};

/** All that comes is kept, whatever it is: it is passed on. */
function read(bytes: Buffer, pieceBytes: number): HelloReading {
  const reader = new ClientHelloReader();
  let reading: HelloReading = { is: 'more' };
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    reading = reader.push(bytes.subarray(at, at + pieceBytes));
    // Nothing is read behind what was decided.
    if (reading.is !== 'more') return reading;
    if (reader.bytes.length !== Math.min(at + pieceBytes, bytes.length)) throw new Error('bytes are lost');
  }
  return reading;
}
