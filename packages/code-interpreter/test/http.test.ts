import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestInterpreter, type TestInterpreter } from './interpreter.ts';

let interpreter: TestInterpreter;

beforeAll(async () => {
  interpreter = await startTestInterpreter();
});

afterAll(() => interpreter?.close());

const ask = (method: string, path: string, body?: string) =>
  fetch(`${interpreter.url}${path}`, { method, ...(body !== undefined && { body }) });
const linesOf = async (body: object) => {
  const text = await (await ask('POST', '/execute', JSON.stringify(body))).text();
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
};

it('streams lines: the count first, the end last, nothing that is null', async () => {
  const body = { code: 'print("out")\n1', context_id: null, language: null, env_vars: null };
  const [count, out, result, end, ...more] = await linesOf(body);
  expect(count).toEqual({ type: 'number_of_executions', execution_count: expect.any(Number) });
  expect(out).toEqual({
    type: 'stdout',
    text: 'out\n',
    timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
  });
  expect(result).toEqual({ type: 'result', is_main_result: true, text: '1' });
  expect([end, more]).toEqual([{ type: 'end_of_execution' }, []]);
  const failed = await linesOf({ code: '1/0', language: 'PYTHON' });
  expect(failed.map(({ type }) => type)).toEqual(['number_of_executions', 'error', 'end_of_execution']);
});

it('says that it lives after five silent seconds', async () => {
  const lines = await linesOf({ code: 'import time; time.sleep(7)' });
  expect(lines.filter(({ type }) => type === 'keepalive').length).toBeGreaterThanOrEqual(1);
});

it('answers null for what was done, and lets every page ask', async () => {
  const { id } = (await (await ask('POST', '/contexts', '{"language":null,"cwd":null}')).json()) as {
    id: string;
  };
  const restarted = await ask('POST', `/contexts/${id}/restart`);
  expect([restarted.status, await restarted.text()]).toEqual([200, 'null']);
  const removed = await ask('DELETE', `/contexts/${id}`);
  expect([removed.status, await removed.text()]).toEqual([200, 'null']);
  const health = await ask('GET', '/health');
  expect([health.status, await health.json()]).toEqual([200, 'OK']);
  expect(health.headers.get('access-control-allow-origin')).toBe('*');
  expect((await ask('OPTIONS', '/execute')).status).toBe(200);
});

it.each([
  [
    'POST',
    '/execute',
    '{"code":"1","context_id":"a","language":"b"}',
    400,
    'Only one of context_id or language can be provided',
  ],
  ['POST', '/execute', '{"code":"1","context_id":"a"}', 404, 'Context a not found'],
  ['POST', '/contexts/a/restart', undefined, 404, 'Context a not found'],
  ['DELETE', '/contexts/a%2Fb', undefined, 404, 'Context a/b not found'],
  ['POST', '/execute', '{}', 422, '"code"'],
  ['POST', '/execute', '{"code":1}', 422, '"code"'],
  ['POST', '/execute', '{"code":"1","env_vars":{"A":1}}', 422, '"env_vars","A"'],
  ['POST', '/execute', '{"code":"1","env_vars":{"A=B":"1"}}', 422, '"env_vars"'],
  ['POST', '/execute', 'no', 422, 'not JSON'],
  ['POST', '/contexts', '{"cwd":"/\\u0000"}', 422, '"cwd"'],
  ['POST', '/contexts', '{"cwd":"/nowhere"}', 500, 'The working directory /nowhere does not exist'],
  ['GET', '/execute', undefined, 405, 'Method Not Allowed'],
  ['GET', '/nothing', undefined, 404, 'Not Found'],
])('refuses %s %s %s with %i', async (method, path, body, status, text) => {
  const answer = await ask(method, path, body);
  expect(answer.status).toBe(status);
  expect(await answer.text()).toContain(text);
});

it('refuses a body that is too large', async () => {
  const answer = await ask('POST', '/execute', JSON.stringify({ code: '#'.repeat(33 * 1024 * 1024) })).catch(
    () => undefined,
  );
  // The connection may be gone before the client has read the answer.
  if (answer) expect(answer.status).toBe(413);
  expect((await ask('GET', '/health')).status).toBe(200);
});
