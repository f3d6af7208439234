import type { IncomingMessage } from 'node:http';
import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';

/** Of an answer that is no object: a page of a list names a thousand, each with a key of at most 1,024 bytes. */
const MOST_ANSWER_BYTES = 8 * 1024 * 1024;

interface RawAnswer {
  statusCode: number;
  body: IncomingMessage;
}

/** A server's answer does not end. */
export class EndlessAnswerError extends Error {
  override readonly name = 'EndlessAnswerError';
}

/**
 * Has a client break off answers that are too long, which it would read to their end before it looks at them. Objects are counted by
 * whoever reads them.
 */
export function capAnswers(client: S3Client): void {
  client.middlewareStack.add(
    (next, { commandName }) =>
      async (args) => {
        const answered = await next(args);
        const { statusCode, body } = answered.response as RawAnswer;
        if (commandName !== GetObjectCommand.name || statusCode >= 300) breakOff(body);
        return answered;
      },
    // Nearer to the socket than what reads the answer.
    { step: 'deserialize', name: 'capAnswers', priority: 'low' },
  );
}

function breakOff(body: IncomingMessage): void {
  let bytes = 0;
  const read = body.push.bind(body);
  body.push = (chunk: Buffer | null, encoding?: BufferEncoding) => {
    bytes += chunk?.length ?? 0;
    if (bytes <= MOST_ANSWER_BYTES) return read(chunk, encoding);
    body.destroy(new EndlessAnswerError(`an answer has more than ${MOST_ANSWER_BYTES} bytes`));
    return false;
  };
}
