import { Deadline } from '@islet/contracts';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';

/** Envd is on the same machine: what takes longer is not there. */
const TIMEOUT_MS = 5000;
const MOST_BYTES = 4 * 1024 * 1024;

const check = Compile(Type.Record(Type.String(), Type.String()));

/** The variables that every process of the sandbox gets: those of its creation. */
export interface GlobalVariables {
  /**
   * @param accessToken of the sandbox, as the client sent it; envd refuses without it if the sandbox is secure
   * @returns undefined if they cannot be had: code runs without them, and the next run asks again
   */
  read(accessToken: string | undefined): Promise<Record<string, string> | undefined>;
}

/** Asks envd. Anybody in the sandbox may have taken its port, so its answer is checked as a stranger's. */
export function globalsOfEnvd(url: string): GlobalVariables {
  return {
    async read(accessToken) {
      using deadline = new Deadline(TIMEOUT_MS);
      try {
        const answer = await fetch(url, {
          headers: accessToken === undefined ? {} : { 'X-Access-Token': accessToken },
          redirect: 'error',
          signal: deadline.signal,
        });
        if (!answer.ok) {
          await answer.body?.cancel();
          return undefined;
        }
        const json: unknown = JSON.parse(await textOf(answer));
        if (!check.Check(json)) return undefined;
        return Object.fromEntries(Object.entries(json).filter(([name, value]) => isVariable(name, value)));
      } catch {
        return undefined;
      }
    },
  };
}

/** Whether a process can be given it. */
export function isVariable(name: string, value: string): boolean {
  return name !== '' && !/[=\0]/.test(name) && !value.includes('\0');
}

async function textOf(answer: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for await (const chunk of answer.body ?? []) {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) throw new Error(`more than ${MOST_BYTES} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
