import { join } from 'node:path';
import { bundleGateway } from '../../packages/mcp-gateway/bundle.mjs';

/** @param {string} filesDir what becomes the template's files */
export async function generate(filesDir) {
  await bundleGateway(join(filesDir, 'opt/mcp-gateway'));
}
