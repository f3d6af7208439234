import { randomUUID } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { createClient, createRouterTransport } from '@connectrpc/connect';
import { credentialsProto } from '@islet/contracts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Harness, startHarness } from './harness.ts';

type About = NonNullable<MessageInitShape<typeof credentialsProto.QuestionSchema>['about']>;
type Answer = credentialsProto.AnswerQuestionRequest['answer'];

/** A node that asks whatever it likes. */
const answered = new Map<string, (answer: Answer) => void>();
const waiting: { id: string; about: About }[] = [];
let wake = () => {};
const credentials = createClient(
  credentialsProto.Credentials,
  createRouterTransport(({ service }) =>
    service(credentialsProto.Credentials, {
      async *followQuestions(_, { signal }) {
        while (!signal.aborted) {
          const question = waiting.shift();
          if (question) yield { question };
          else await new Promise<void>((resolve) => (wake = resolve));
        }
      },
      answerQuestion({ id, answer }) {
        answered.get(id)?.(answer);
        return {};
      },
    }),
  ),
);

function ask(about: About): Promise<Answer> {
  const id = randomUUID();
  const answer = new Promise<Answer>((resolve) => answered.set(id, resolve));
  waiting.push({ id, about });
  wake();
  return answer;
}

const secretOf = (teamId: string, name = 'key') => ask({ case: 'secret', value: { teamId, name } });

let api: Harness;
beforeAll(async () => {
  api = await startHarness({ link: { credentials } });
});
afterAll(() => {
  wake();
  return api?.close();
});

async function teamWithSecret(name: string) {
  const team = await api.team(name);
  await api.call('POST', '/secrets', { key: team.key, body: { name: 'key', value: `of ${name}` } });
  const create = async () =>
    (await api.call('POST', '/sandboxes', { key: team.key, body: { templateID: 'base' } })).body.sandboxID;
  return { ...team, create: create as () => Promise<string> };
}

it('gives a node secrets of teams whose sandboxes run there, and none of a stranger’s', async () => {
  const [mine, stranger] = [await teamWithSecret('mine'), await teamWithSecret('stranger')];
  const sandboxId = await mine.create();
  expect(await secretOf(mine.id)).toMatchObject({ case: 'credential', value: { value: 'of mine' } });
  expect(await secretOf(mine.id, 'another')).toMatchObject({ case: 'absent' });
  expect(await secretOf(stranger.id)).toMatchObject({ case: 'absent' });
  await api.call('DELETE', `/sandboxes/${sandboxId}`, { key: mine.key });
  expect(await secretOf(mine.id)).toMatchObject({ case: 'absent' });
});

it('waits for word of a sandbox whose node asks at once', async () => {
  const team = await teamWithSecret('hasty');
  const answer = secretOf(team.id);
  await team.create();
  expect(await answer).toMatchObject({ case: 'credential', value: { value: 'of hasty' } });
});

it('gives none for a paused sandbox, and gives them again when it is resumed', async () => {
  const team = await teamWithSecret('sleeper');
  const path = `/sandboxes/${await team.create()}`;
  expect((await api.call('POST', `${path}/pause`, { key: team.key })).status).toBe(204);
  expect(await secretOf(team.id)).toMatchObject({ case: 'absent' });
  const answer = secretOf(team.id);
  await api.call('POST', `${path}/connect`, { key: team.key, body: { timeout: 60 } });
  expect(await answer).toMatchObject({ case: 'credential' });
});

it('mints identity tokens for the run that the node has, and for no other', async () => {
  const team = await teamWithSecret('identified');
  const sandboxId = await team.create();
  const sandbox = api.sandboxes.get(sandboxId);
  if (!sandbox) throw new Error('the sandbox is not known');
  const { templateId } = sandbox.config;
  const value = { teamId: team.id, templateId, sandboxId, executionId: sandbox.executionId, audience: 'a' };
  const tokenOf = (over: Partial<typeof value>) => ask({ case: 'token', value: { ...value, ...over } });
  expect(await tokenOf({})).toMatchObject({ case: 'credential' });
  const others = await Promise.all([
    tokenOf({ teamId: randomUUID() }),
    tokenOf({ executionId: randomUUID() }),
    tokenOf({ templateId: 'another' }),
    tokenOf({ sandboxId: `i${'0'.repeat(20)}` }),
  ]);
  for (const answer of others) expect(answer.case).toBe('absent');
});
