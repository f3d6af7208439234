import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import type { RequestHandlerExtra, RequestOptions } from '@modelcontextprotocol/sdk/shared/protocol.js';
import {
  CallToolRequestSchema,
  CallToolResultSchema,
  CompleteRequestSchema,
  ErrorCode,
  GetPromptRequestSchema,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  McpError,
  type Progress,
  ReadResourceRequestSchema,
  type ServerCapabilities,
  type ServerNotification,
  type ServerRequest,
} from '@modelcontextprotocol/sdk/types.js';
import type { Directory, Offered } from './directory.ts';

/** The longest call of a tool that says nothing of its progress. */
const CALL_MS = 10 * 60 * 1000;

type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>;

/** What a session begins with; asked of the servers once. */
export interface SessionOffer {
  capabilities: ServerCapabilities;
  instructions: string;
}

/** The gateway as one client sees it: one server that has what all servers behind it have. */
export function createSession(directory: Directory, { capabilities, instructions }: SessionOffer): Server {
  const server = new Server({ name: 'islet-mcp-gateway', version: '1.0.0' }, { capabilities, instructions });
  if (capabilities.tools) serveTools(server, directory);
  if (capabilities.prompts) servePrompts(server, directory);
  if (capabilities.resources) serveResources(server, directory);
  if (capabilities.completions) serveCompletions(server, directory);
  return server;
}

function serveTools(server: Server, directory: Directory): void {
  server.setRequestHandler(ListToolsRequestSchema, async () => ({
    tools: (await directory.tools()).map(({ shown }) => shown),
  }));
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, extra) => {
    const { upstream, own } = find('tool', await directory.tools(), params.name);
    const client = await upstream.client();
    return client.request(
      { method: 'tools/call', params: { ...params, name: own } },
      CallToolResultSchema,
      onBehalfOf(extra),
    );
  });
}

function servePrompts(server: Server, directory: Directory): void {
  server.setRequestHandler(ListPromptsRequestSchema, async () => ({
    prompts: (await directory.prompts()).map(({ shown }) => shown),
  }));
  server.setRequestHandler(GetPromptRequestSchema, async ({ params }, extra) => {
    const { upstream, own } = find('prompt', await directory.prompts(), params.name);
    return (await upstream.client()).getPrompt({ ...params, name: own }, onBehalfOf(extra));
  });
}

function serveResources(server: Server, directory: Directory): void {
  server.setRequestHandler(ListResourcesRequestSchema, async () => ({
    resources: (await directory.resources()).map(({ shown }) => shown),
  }));
  server.setRequestHandler(ListResourceTemplatesRequestSchema, async () => ({
    resourceTemplates: (await directory.resourceTemplates()).map(({ shown }) => shown),
  }));
  server.setRequestHandler(ReadResourceRequestSchema, async ({ params }, extra) => {
    let refusal: unknown;
    for (const upstream of await directory.ownersOf(params.uri)) {
      try {
        return await (await upstream.client()).readResource(params, onBehalfOf(extra));
      } catch (error) {
        refusal ??= error;
      }
    }
    throw refusal;
  });
}

function serveCompletions(server: Server, directory: Directory): void {
  server.setRequestHandler(CompleteRequestSchema, async ({ params }, extra) => {
    const { ref } = params;
    if (ref.type === 'ref/prompt') {
      const { upstream, own } = find('prompt', await directory.prompts(), ref.name);
      const asked = { ...params, ref: { ...ref, name: own } };
      return (await upstream.client()).complete(asked, onBehalfOf(extra));
    }
    const templates = await directory.resourceTemplates();
    const owner = templates.find(({ own }) => own === ref.uri);
    if (!owner) throw new McpError(ErrorCode.InvalidParams, `no resource template is ${ref.uri}`);
    return (await owner.upstream.client()).complete(params, onBehalfOf(extra));
  });
}

function find<T extends { name: string }>(what: string, offered: Offered<T>[], name: string): Offered<T> {
  const found = offered.find(({ shown }) => shown.name === name);
  if (!found) throw new McpError(ErrorCode.InvalidParams, `no server has a ${what} called ${name}`);
  return found;
}

/** A request to a server ends when the client's does, and what it says of its progress goes to the client. */
function onBehalfOf({ signal, _meta, sendNotification }: Extra): RequestOptions {
  const progressToken = _meta?.progressToken;
  const options = { signal, timeout: CALL_MS, resetTimeoutOnProgress: true };
  if (progressToken === undefined) return options;
  const onprogress = (progress: Progress) => {
    void sendNotification({
      method: 'notifications/progress',
      params: { ...progress, progressToken },
    }).catch(() => undefined);
  };
  return { ...options, onprogress };
}
