import { runIslet } from './index.ts';

await runIslet(process.argv.slice(2));
