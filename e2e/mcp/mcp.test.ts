import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { type McpServer, Sandbox, SandboxError, Template } from 'e2b';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { runIslet } from '../setup/command.ts';
import { BUILD_MS, sharedBuilder } from '../templates/builder.ts';

const access = inject('islet');
const builder = sharedBuilder('MCP');
const options = {
  apiUrl: access.apiUrl,
  apiKey: access.apiKey,
  sandboxUrl: access.sandboxUrl,
  requestTimeoutMs: 180_000,
  timeoutMs: 600_000,
};

let sandbox: Sandbox;
beforeAll(async () => {
  const build = ['template', 'build', 'mcp-gateway', '--data-dir', access.dataDir];
  const { code, stdout, stderr } = await runIslet(build, { timeoutMs: BUILD_MS });
  if (code !== 0) throw new Error(`the template was not built: ${stdout}${stderr}`);
  sandbox = await Sandbox.create({
    ...options,
    mcp: { filesystem: { paths: ['/home/user'] }, memory: {}, time: {} },
  });
}, BUILD_MS);
afterAll(() => sandbox?.kill());

async function connect(to: Sandbox, token: string | undefined): Promise<Client> {
  const client = new Client({ name: 'e2e', version: '1.0.0' });
  const headers = { Authorization: `Bearer ${token}` };
  await client.connect(
    new StreamableHTTPClientTransport(new URL(to.getMcpUrl()), { requestInit: { headers } }),
  );
  return client;
}

const textOf = ({ content }: Awaited<ReturnType<Client['callTool']>>) =>
  (content as { text: string }[])[0]?.text;

describe('a sandbox with mcp', () => {
  it('serves the tools of its servers through the edge, and they work on its files as its user', async () => {
    expect(new URL(sandbox.getMcpUrl()).host).toBe(sandbox.getHost(50_005));
    const client = await connect(sandbox, await sandbox.getMcpToken());
    const names = (await client.listTools()).tools.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['write_file', 'create_entities', 'current_time']));
    const path = '/home/user/written.txt';
    await client.callTool({ name: 'write_file', arguments: { path, content: 'by a tool' } });
    expect(await sandbox.files.read(path)).toBe('by a tool');
    expect((await sandbox.files.getInfo(path)).owner).toBe('user');
    await sandbox.files.write('/home/user/read.txt', 'by the SDK');
    const read = { name: 'read_text_file', arguments: { path: '/home/user/read.txt' } };
    expect(textOf(await client.callTool(read))).toBe('by the SDK');
    await client.close();
  });

  it('gives its token to who connects later, and answers nobody without it', async () => {
    const again = await Sandbox.connect(sandbox.sandboxId, options);
    const token = await again.getMcpToken();
    expect(token).toBe(await sandbox.getMcpToken());
    await (await connect(again, token)).close();
    await expect(connect(again, 'another')).rejects.toThrow(/Bearer/);
    const told = sandbox.commands.run('cat /etc/mcp-gateway/.token');
    await expect(told).rejects.toMatchObject({ stderr: expect.stringContaining('Permission denied') });
  });

  it('goes on after a pause and in a fork', async () => {
    const client = await connect(sandbox, await sandbox.getMcpToken());
    const entity = { name: 'Ada', entityType: 'person', observations: ['before the pause'] };
    await client.callTool({ name: 'create_entities', arguments: { entities: [entity] } });
    await client.close();
    await sandbox.pause();
    await sandbox.connect();
    const [fork] = await sandbox.fork({ timeoutMs: 300_000 });
    if (!(fork instanceof Sandbox)) throw fork;
    try {
      for (const one of [sandbox, fork]) {
        const after = await connect(one, await sandbox.getMcpToken());
        const found = { name: 'search_nodes', arguments: { query: 'Ada' } };
        expect(textOf(await after.callTool(found))).toContain('before the pause');
        await after.close();
      }
    } finally {
      await fork.kill();
    }
  });
});

describe('a sandbox with an mcp that cannot be', () => {
  const failure = async (mcp: McpServer) => {
    const created = Sandbox.create({ ...options, mcp });
    return created.then(
      async (made) => {
        await made.kill();
        throw new Error('the sandbox was created');
      },
      (error: unknown) => error,
    );
  };

  it.each<[string, McpServer, string]>([
    ['a server that is an image elsewhere', { wikipedia: {} }, 'the MCP server "wikipedia" is not available'],
    ['options that are wrong', { filesystem: { paths: [] } }, 'options of the server "filesystem" are wrong'],
    ['a folder that is not there', { filesystem: { paths: ['/nowhere'] } }, '"filesystem" did not start'],
  ])('is not left behind: %s', async (_, mcp, message) => {
    const error = await failure(mcp);
    expect(error).toBeInstanceOf(SandboxError);
    expect(String(error)).toContain('Failed to start MCP gateway');
    expect(String(error)).toContain(message);
  });
});

describe('a template of mcp-gateway', { timeout: BUILD_MS }, () => {
  /** A server without dependencies: it knows the protocol's first messages and one tool. */
  const SERVER = `
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line);
  const answer = (result) => console.log(JSON.stringify({ jsonrpc: '2.0', id, result }));
  if (method === 'initialize') answer({ protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'own', version: '1' } });
  if (method === 'tools/list') answer({ tools: [{ name: 'greet', inputSchema: { type: 'object' } }] });
  if (method === 'tools/call') answer({ content: [{ type: 'text', text: process.env.GREETING + ' ' + require('node:fs').readFileSync('installed', 'utf8') }] });
});`;

  it('takes servers that come with it, and tells of others that they are not to be had', async () => {
    const template = () => Template().fromTemplate('mcp-gateway');
    const { log } = await builder.current.build(template().addMcpServer(['memory', 'time']), 'with-servers');
    expect(log.some((line) => line.includes('memory comes with the gateway'))).toBe(true);
    const { error, log: said } = await builder.current.failure(template().addMcpServer('exa'), 'without');
    expect(error.message).toContain('mcp-gateway pull exa');
    expect(said.join('\n')).toContain('the MCP server "exa" is not available');
  });

  it('runs a server of a git repository', async () => {
    const template = Template()
      .fromTemplate('mcp-gateway')
      .runCmd([
        'git init -q /tmp/server',
        `echo ${Buffer.from(SERVER).toString('base64')} | base64 -d > /tmp/server/server.cjs`,
        'cd /tmp/server && git add . && git -c user.name=a -c user.email=a@b commit -qm first',
        'sudo git config --system safe.directory "*"',
        'sudo git clone -q --bare /tmp/server /srv/own/greeter.git',
        'sudo git config --system url.file:///srv/.insteadOf https://github.com/',
      ]);
    await builder.current.build(template, 'own-server');
    const made = await builder.current.start('own-server', {
      mcp: {
        'github/own/greeter': {
          installCmd: 'echo -n there > installed',
          runCmd: 'node server.cjs',
          envs: { GREETING: 'hello' },
        },
      },
    });
    const client = await connect(made, await made.getMcpToken());
    expect(textOf(await client.callTool({ name: 'greet' }))).toBe('hello there');
    await client.close();
    const unknown = builder.current.start('own-server', {
      mcp: { 'github/own/nothing': { runCmd: 'true' } },
    });
    await expect(unknown).rejects.toThrow(/"github\/own\/nothing" cannot be installed: cloning/);
  });
});
