import { Code, ConnectError, createClient, createRouterTransport } from '@connectrpc/connect';
import { nodeProto } from '@islet/contracts';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { fixedNodes } from '../src/index.ts';
import { firstFor } from '../src/templates/builds/shipped.ts';
import { ADMIN_TOKEN, type Harness, startHarness } from './harness.ts';
import { simulatedLink } from './simulated-link.ts';
import { SimulatedNode } from './simulated-node.ts';

type State = NonNullable<nodeProto.BuildFurtherResponse['state']>;

const FOLDER = 'code-interpreter';
const READY = {
  templateId: 'islet0codeinterpreter0template0',
  buildId: '0198c1f0-0000-8000-8000-000000000001',
  ...{ cpuCount: 2, memoryMb: 2048, freeDiskMb: 512, diskSizeMb: 3000 },
  ...{ envdVersion: '0.6.13', defaultUser: 'user', defaultWorkdir: '' },
};

/** What a node answers to each call that follows, in turn. */
class Builder {
  calls: string[] = [];
  answer: (signal: AbortSignal) => AsyncGenerator<{ state: object }> = async function* () {
    yield { state: { case: 'building', value: { message: 'step 1', share: 0.5 } } };
    yield { state: { case: 'ready', value: READY } };
  };

  client() {
    return createClient(
      nodeProto.ShippedTemplates,
      createRouterTransport((router) =>
        router.service(nodeProto.ShippedTemplates, {
          buildFurther: ({ folder }, { signal }) => {
            this.calls.push(folder);
            return this.answer(signal) as AsyncGenerator<{ state: State }>;
          },
        }),
      ),
    );
  }
}

const ids = ['a', 'b', 'c'];
const nodes = ids.map((id) => new SimulatedNode(id));
const builders = ids.map(() => new Builder());
let api: Harness;

beforeAll(async () => {
  const discovery = fixedNodes(
    nodes.map((node, index) => ({
      id: node.id,
      labels: {},
      link: simulatedLink(node, { shipped: (builders[index] as Builder).client() }),
    })),
  );
  api = await startHarness({ discovery });
});
afterAll(async () => {
  await api.close();
  for (const node of nodes) node.close();
});
beforeEach(async () => {
  for (const builder of builders) Object.assign(builder, new Builder());
  for (const id of ids) await stand(id, 'ready');
});

const stand = (id: string, status: 'ready' | 'draining') =>
  api.call('POST', `/nodes/${id}`, {
    ...{ key: null, headers: { 'X-Admin-Token': ADMIN_TOKEN } },
    body: { status },
  });
const build = (over: object = {}) => {
  const told: unknown[] = [];
  const progress = (...news: unknown[]) => void told.push(news);
  const request = { folder: FOLDER, madeOn: undefined, progress, signal: new AbortController().signal };
  return { told, done: api.nodesBuilds.build({ ...request, ...over }) };
};
const calls = () => builders.map((builder) => builder.calls.length);
/** The node that is asked if nothing speaks against it, and its builder. */
const usual = firstFor(
  FOLDER,
  undefined,
  ids.map((id) => ({ id })),
)?.id as string;
const builderOf = (id: string) => builders[ids.indexOf(id)] as Builder;
const others = ids.filter((id) => id !== usual);

it('one node builds it, which is known to have it from then on', async () => {
  const { told, done } = build();
  expect(await done).toMatchObject({ nodeId: usual, build: READY });
  expect(told).toEqual([['step 1', 0.5]]);
  await build().done;
  expect(calls()).toEqual(ids.map((id) => (id === usual ? 2 : 0)));

  const { templateId, buildId } = READY;
  await api.template({ templateId, buildId, alias: 'interpreter', namespace: null, public: true });
  await api.call('POST', '/sandboxes', { body: { templateID: 'interpreter', timeout: 60 } });
  expect(nodes.find(({ creates }) => creates.length > 0)?.id).toBe(usual);
});

it('the one that has built it before is asked first', async () => {
  const [other = ''] = others;
  expect(await build({ madeOn: other }).done).toMatchObject({ nodeId: other });
  expect(builderOf(usual).calls).toEqual([]);
});

it('one that is drained, or of an older Islet, is not asked; others are', async () => {
  builderOf(usual).answer = async function* () {
    yield* [];
    throw new ConnectError('no such template', Code.NotFound);
  };
  const { nodeId } = await build().done;
  expect(others).toContain(nodeId);
  await stand(nodeId, 'draining');
  expect((await build().done).nodeId).toBe(others.find((id) => id !== nodeId));
});

it('a failed build is one, and is not tried elsewhere', async () => {
  builderOf(usual).answer = async function* () {
    yield { state: { case: 'failure', value: { message: 'no packages' } } };
  };
  await expect(build().done).rejects.toThrow('no packages');
  expect(calls().reduce((sum, count) => sum + count)).toBe(1);
});

it('no node has such a template', async () => {
  for (const builder of builders) {
    builder.answer = async function* () {
      yield* [];
      throw new ConnectError('no such call', Code.Unimplemented);
    };
  }
  await expect(build().done).rejects.toThrow(/older Islet/);
});

it('what breaks off is asked for again, and what is given up ends', async () => {
  let isFirst = true;
  builderOf(usual).answer = async function* (signal) {
    if (isFirst) {
      isFirst = false;
      throw new ConnectError('it restarts', Code.Unavailable);
    }
    yield { state: { case: 'building', value: { message: 'again' } } };
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  };
  const stop = new AbortController();
  const { told, done } = build({ signal: stop.signal });
  await expect.poll(() => told.length, { timeout: 60_000 }).toBe(1);
  stop.abort(new Error('given up'));
  await expect(done).rejects.toThrow('given up');
});
