import { readFile, writeFile } from 'node:fs/promises';
import { Sandbox } from '@e2b/code-interpreter';
import { codeSection, page, textSection } from './page.ts';

interface Cell {
  cell_type: string;
  source: string[] | string;
}

const [notebook = new URL('analysis.ipynb', import.meta.url).pathname, out = 'analysis.html'] =
  process.argv.slice(2);

const { cells } = JSON.parse(await readFile(notebook, 'utf8')) as { cells: Cell[] };
const sandbox = await Sandbox.create();
try {
  const sections: string[] = [];
  for (const { cell_type, source } of cells) {
    const text = typeof source === 'string' ? source : source.join('');
    if (cell_type !== 'code') sections.push(textSection(text));
    else sections.push(codeSection(text, await sandbox.runCode(text)));
  }
  await writeFile(out, page(notebook, sections));
  console.log(`${cells.length} cells in ${out}`);
} finally {
  await sandbox.kill();
}
