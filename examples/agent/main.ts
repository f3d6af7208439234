import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Sandbox } from '@e2b/code-interpreter';
import { answerQuestion } from './agent.ts';
import { chatModel, recordedModel } from './model.ts';

const QUESTION =
  'The file /home/user/sales.csv has the sales of 2025. Which region grew most from the first to the last quarter, by revenue, and how much?';

const [out = 'out'] = process.argv.slice(2);
const { MODEL_URL: url, MODEL_KEY: key, MODEL_NAME: name } = process.env;

const model =
  url && key && name
    ? chatModel({ url, key, name })
    : await recordedModel(new URL('recording.json', import.meta.url));

const sandbox = await Sandbox.create();
try {
  await sandbox.files.write(
    '/home/user/sales.csv',
    await readFile(new URL('sales.csv', import.meta.url), 'utf8'),
  );
  const { text, charts } = await answerQuestion(sandbox, model, QUESTION, (step) => console.log(`${step}\n`));
  await mkdir(out, { recursive: true });
  for (const [index, chart] of charts.entries()) await writeFile(join(out, `chart-${index + 1}.png`), chart);
  console.log(`The answer: ${text}`);
  console.log(`${charts.length} chart(s) in ${out}`);
} finally {
  await sandbox.kill();
}
