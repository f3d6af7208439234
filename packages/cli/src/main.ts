import { searchPath } from './host/search-path.ts';
import { runIslet } from './index.ts';

process.env.PATH = searchPath(process.env.PATH);
await runIslet(process.argv.slice(2));
