import { createInterface } from 'node:readline';

/** Serves calls that come as lines of JSON, and says what happens meanwhile. */
export function serveCalls(methods: Record<string, (...args: never[]) => unknown>): (event: unknown) => void {
  const say = (message: unknown) => process.stdout.write(`${JSON.stringify(message)}\n`);
  createInterface({ input: process.stdin })
    .on('line', async (line) => {
      const { id, method, args } = JSON.parse(line);
      try {
        say({ id, value: (await methods[method]?.(...(args as never[]))) ?? null });
      } catch (error) {
        say({ id, error: String((error as Error).stack) });
      }
    })
    .on('close', () => process.exit(0));
  return (event) => say({ event });
}
