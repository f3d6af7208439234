import { searchPath } from './host/search-path.ts';
import { runIslet } from './index.ts';

process.env.PATH = searchPath(process.env.PATH);
// What programs of the system answer is read, so they have to answer in English.
process.env.LC_ALL = 'C.UTF-8';
await runIslet(process.argv.slice(2));
