import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { LoggingMessageNotificationSchema, type Progress } from '@modelcontextprotocol/sdk/types.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleGateway } from '../bundle.mjs';
import { parseConfig } from '../src/config.ts';
import { type Gateway, startGateway } from '../src/gateway.ts';
import type { ServerCommand } from '../src/servers/server.ts';

const TOKEN = '5a1b0f0e-token-of-this-test';
let dir: string;
let gateway: Gateway;
let client: Client;

/** A server that ends when it is told to, and clashes with the memory server in a name. */
const MORTAL = `
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
const server = new McpServer({ name: 'mortal', version: '1.0.0' });
server.registerTool('die', {}, () => process.exit(1));
server.registerTool('pid', {}, () => ({ content: [{ type: 'text', text: String(process.pid) }] }));
server.registerTool('read_graph', {}, () => ({ content: [{ type: 'text', text: 'mine' }] }));
await server.connect(new StdioServerTransport());
`;

const program = (name: string, source: string): ServerCommand => ({
  name,
  command: process.execPath,
  args: ['--input-type=module', '-e', source],
  env: {},
  cwd: import.meta.dirname,
});

const open = (path: string, token: string) =>
  new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${gateway.port}${path}`), {
    requestInit: { headers: { Authorization: `Bearer ${token}` } },
  });

async function connect(): Promise<Client> {
  const connected = new Client({ name: 'test', version: '1.0.0' });
  await connected.connect(open('/mcp', TOKEN));
  return connected;
}

const call = async (name: string, args: Record<string, unknown> = {}) => {
  const { content, isError } = await client.callTool({ name, arguments: args });
  const [first] = content as { text: string }[];
  return { text: first?.text ?? '', isError: isError ?? false };
};

const post = (body: string, headers: Record<string, string> = {}) =>
  fetch(`http://127.0.0.1:${gateway.port}/mcp`, {
    method: 'POST',
    body,
    headers: { Authorization: `Bearer ${TOKEN}`, Accept: 'application/json, text/event-stream', ...headers },
  });

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'islet-mcp-'));
  await bundleGateway(join(dir, 'gateway'));
  await writeFile(join(dir, 'note.txt'), 'written before\n');
  const places = {
    servers: join(dir, 'gateway/servers'),
    repositories: join(dir, 'repositories'),
    home: dir,
  };
  const config = {
    filesystem: { paths: [dir] },
    memory: {},
    sequentialthinking: {},
    time: {},
    everything: {},
  };
  const { servers } = parseConfig(JSON.stringify(config), places);
  const options = { token: TOKEN, host: '127.0.0.1', port: 0, log: () => {} };
  gateway = await startGateway({ ...options, servers: [...servers, program('mortal', MORTAL)] });
  client = await connect();
});
afterAll(async () => {
  await client?.close();
  await gateway?.[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

describe('all servers as one', () => {
  it('lists the tools of each', async () => {
    const names = (await client.listTools()).tools.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining(['read_text_file', 'create_entities', 'sequentialthinking']),
    );
    expect(names).toEqual(expect.arrayContaining(['current_time', 'echo', 'die']));
    expect(new Set(names).size).toBe(names.length);
  });

  it('calls tools of the servers that npm has', async () => {
    expect((await call('read_text_file', { path: join(dir, 'note.txt') })).text).toBe('written before\n');
    await call('create_entities', {
      entities: [{ name: 'Ada', entityType: 'person', observations: ['counts'] }],
    });
    expect((await call('search_nodes', { query: 'Ada' })).text).toContain('counts');
    expect(await readFile(join(dir, '.mcp-memory.jsonl'), 'utf8')).toContain('Ada');
    const thought = { thought: 'once', nextThoughtNeeded: false, thoughtNumber: 1, totalThoughts: 1 };
    expect((await call('sequentialthinking', thought)).text).toContain('"thoughtNumber": 1');
    expect((await call('current_time', { format: 'YYYY-MM-DD' })).text).toContain(
      String(new Date().getFullYear()),
    );
    expect((await call('echo', { message: 'hello' })).text).toBe('Echo: hello');
  });

  it('passes on what a tool refuses', async () => {
    const refused = await call('read_text_file', { path: '/etc/passwd' });
    expect(refused).toMatchObject({ isError: true, text: expect.stringContaining('Access denied') });
  });

  it('knows no other tools', async () => {
    await expect(call('format_disk')).rejects.toThrow('no server has a tool called format_disk');
  });

  it('shows a name that two servers have with the name of the server', async () => {
    const names = (await client.listTools()).tools.map(({ name }) => name);
    expect(names.filter((name) => name.includes('read_graph'))).toEqual([
      'memory_read_graph',
      'mortal_read_graph',
    ]);
    expect((await call('mortal_read_graph')).text).toBe('mine');
    expect((await call('memory_read_graph')).text).toContain('"entities"');
  });

  it('has resources, prompts and completions, too', async () => {
    const { resources } = await client.listResources();
    const [first] = resources;
    if (!first) throw new Error('no resource is listed');
    expect((await client.readResource({ uri: first.uri })).contents).toHaveLength(1);
    await expect(client.readResource({ uri: 'nothing://here' })).rejects.toThrow();
    const { resourceTemplates } = await client.listResourceTemplates();
    expect(resourceTemplates.length).toBeGreaterThan(0);
    const { prompts } = await client.listPrompts();
    expect(prompts.map(({ name }) => name)).toContain('args-prompt');
    const { messages } = await client.getPrompt({ name: 'args-prompt', arguments: { city: 'Bern' } });
    expect(JSON.stringify(messages)).toContain('Bern');
    const { completion } = await client.complete({
      ref: { type: 'ref/prompt', name: 'completable-prompt' },
      argument: { name: 'department', value: 'E' },
    });
    expect(completion.values).toContain('Engineering');
    expect(client.getInstructions()).toContain('# everything');
  });

  it('passes on progress, and the end of a call', async () => {
    const heard: Progress[] = [];
    const tool = { name: 'trigger-long-running-operation', arguments: { duration: 1, steps: 2 } };
    await client.callTool(tool, undefined, { onprogress: (progress) => heard.push(progress) });
    // The last may come after the answer, when nobody listens any more.
    expect(heard[0]).toMatchObject({ progress: 1, total: 2 });
    const abort = new AbortController();
    const long = { ...tool, arguments: { duration: 600, steps: 600 } };
    const called = client.callTool(long, undefined, { signal: abort.signal });
    abort.abort(new Error('enough'));
    await expect(called).rejects.toThrow('enough');
  });

  it('passes on what servers say by themselves', async () => {
    const said: string[] = [];
    client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
      said.push(String(params.data));
    });
    await call('toggle-simulated-logging');
    await expect.poll(() => said.length).toBeGreaterThan(0);
    await call('toggle-simulated-logging');
  });

  it('starts a server again that has ended', async () => {
    const before = (await call('pid')).text;
    await expect(call('die')).rejects.toThrow(/closed/);
    const after = (await call('pid')).text;
    expect(Number(after)).toBeGreaterThan(0);
    expect(after).not.toBe(before);
  });

  it('serves several clients at once', async () => {
    const others = await Promise.all(Array.from({ length: 5 }, connect));
    const answers = await Promise.all(
      others.map((other, i) => other.callTool({ name: 'echo', arguments: { message: `${i}` } })),
    );
    expect(answers.map(({ content }) => (content as { text: string }[])[0]?.text)).toEqual(
      others.map((_, i) => `Echo: ${i}`),
    );
    await Promise.all(others.map((other) => other.close()));
  });
});

describe('the front', () => {
  it.each([
    ['no token', { Authorization: '' }],
    ['another token', { Authorization: 'Bearer another' }],
    ['a token of another kind', { Authorization: `Basic ${TOKEN}` }],
  ])('refuses %s', async (_, headers) => {
    const answer = await post('{}', headers);
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    expect(await answer.text()).toContain('getMcpToken()');
  });

  it('has nothing beside /mcp', async () => {
    const answer = await fetch(`http://127.0.0.1:${gateway.port}/other`);
    expect(answer.status).toBe(404);
  });

  it.each([
    ['what is no JSON', '{', {}, 400],
    ['what begins no session', '{"jsonrpc":"2.0","id":1,"method":"tools/list"}', {}, 400],
    ['a session that it does not know', '{}', { 'Mcp-Session-Id': 'other' }, 404],
    ['more than it reads', `"${'x'.repeat(4 * 1024 * 1024)}"`, {}, 413],
  ])('refuses %s', async (_, body, headers, status) => {
    const answer = await post(body, { 'Content-Type': 'application/json', ...headers });
    expect(answer.status).toBe(status);
    expect(await answer.text()).toContain('"error"');
  });
});

describe('a start', () => {
  it('says which server failed, with its own words, and leaves none behind', async () => {
    const broken = program('broken', 'console.error("no such database"); process.exit(3)');
    const options = { token: TOKEN, host: '127.0.0.1', port: 0, log: () => {} };
    await expect(startGateway({ ...options, servers: [broken] })).rejects.toThrow(
      'the MCP server "broken" did not start: no such database',
    );
  });
});
