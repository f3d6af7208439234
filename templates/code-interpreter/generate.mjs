import { join } from 'node:path';
import { bundleCodeInterpreter } from '../../packages/code-interpreter/bundle.mjs';

/**
 * Puts the server among the template's files.
 * @param {string} files
 */
export const generate = (files) => bundleCodeInterpreter(join(files, 'opt/code-interpreter'));
