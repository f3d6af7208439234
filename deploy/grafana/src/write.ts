// Writes the dashboards: npm run dashboards
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DASHBOARDS, render } from './dashboards.ts';

for (const [name, build] of Object.entries(DASHBOARDS)) {
  await writeFile(join(import.meta.dirname, '../dashboards', `${name}.json`), render(build));
}
