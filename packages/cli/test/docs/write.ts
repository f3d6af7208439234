// Writes the parts of the docs that come from the code: npm run docs
import { writeFileSync } from 'node:fs';
import { REFERENCE, read, withOptions } from './reference.ts';

writeFileSync(REFERENCE, withOptions(read(REFERENCE)));
