import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox, Template, waitForURL } from 'e2b';
import { send } from '../../e2e/setup/http.ts';
import { sdkOptions } from '../islet/sdk.ts';
import { inRounds } from '../pace/rounds.ts';
import { timed } from '../pace/timed.ts';
import type { Row, RowContext } from './row.ts';

const AT_ONCE = 20;
const PORT = 8080;
const SIZE = { cpuCount: 1, memoryMB: 512 };
/** Time in which the pool gets ready again what one sandbox alone finds, and the machine comes to rest. */
const REST_MS = 5_000;

/** Says which process serves and how many were ever started: both have to be the same in all sandboxes. */
const SERVER = `
echo started >> /home/user/starts
exec node -e '
const { readFileSync } = require("node:fs");
const id = process.pid + " " + process.hrtime.bigint();
require("node:http")
  .createServer((_, response) => response.end(id + " " + readFileSync("/home/user/starts", "utf8")))
  .listen(${PORT});
'`;

/** A sandbox of the template, and its first answer. */
async function live(context: RowContext, template: string) {
  const { access } = context;
  let sandboxId = '';
  const createMs = await timed(async () => {
    ({ sandboxId } = await Sandbox.create(template, sdkOptions(access)));
  });
  let text = '';
  const answerMs = await timed(async () => {
    const headers = { 'E2b-Sandbox-Id': sandboxId, 'E2b-Sandbox-Port': String(PORT) };
    const answer = await send({ method: 'GET', url: `${access.sandboxUrl}/`, headers });
    if (answer.status !== 200) throw new Error(`the server answered ${answer.status}: ${answer.text}`);
    text = answer.text;
  });
  return { sandboxId, createMs, answerMs, text };
}

export const webTemplateRow: Row = {
  name: 'web-template',
  description: `${AT_ONCE} sandboxes at once of a template whose start command is a web server, until each answers`,
  async measure(context) {
    const options = sdkOptions(context.access);
    const template = `bench-web-${randomUUID()}`;
    const server = Template()
      .fromBaseImage()
      .setStartCmd(SERVER, waitForURL(`http://localhost:${PORT}`));
    await Template.build(server, template, { ...options, ...SIZE });
    const creates: number[] = [];
    const answers: number[] = [];
    const full = context.size === 'full';
    await inRounds({ rounds: full ? 5 : 1, budgetMs: full ? 120_000 : 30_000 }, context, async () => {
      await sleep(REST_MS, undefined, { signal: context.signal });
      const lives = await Promise.allSettled(Array.from({ length: AT_ONCE }, () => live(context, template)));
      const done = lives.flatMap((life) => (life.status === 'fulfilled' ? [life.value] : []));
      await Promise.all(done.map(({ sandboxId }) => Sandbox.kill(sandboxId, options)));
      const failed = lives.find((life) => life.status === 'rejected');
      if (failed) throw failed.reason;
      if (new Set(done.map(({ text }) => text)).size !== 1) throw new Error('a sandbox started a server');
      creates.push(...done.map(({ createMs }) => createMs));
      answers.push(...done.map(({ answerMs }) => answerMs));
    });
    const row = { row: 'web-template', unit: 'ms' } as const;
    return [
      {
        ...row,
        what: `create, ${AT_ONCE} at once of a web server's template`,
        samples: creates,
        targets: [],
      },
      {
        ...row,
        what: "their servers' first answers, each after its create",
        samples: answers,
        targets: [{ kind: 'at-most', of: 'p99', value: 300 }],
      },
    ];
  },
};
