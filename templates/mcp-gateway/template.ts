import { debianWith } from '../base/template.ts';

/** What `islet up` and its users call it: the name that `Sandbox.create({ mcp })` of the SDKs takes. */
export const about = { name: 'mcp-gateway', title: 'MCP gateway template' };

/** The size that its sandboxes get: each server is a Node.js of its own. */
export const size = { cpuCount: 2, memoryMB: 1024, minFreeDiskMb: 512 };

/** `base` with a gateway for servers of the Model Context Protocol, see `packages/mcp-gateway`. */
export const template = debianWith([]);
