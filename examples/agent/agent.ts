import type { Execution, Sandbox } from '@e2b/code-interpreter';
import type { Message, Model } from './model.ts';

const MOST_TURNS = 8;
/** Of what a cell prints, for the model to read. */
const SHOWN_CHARACTERS = 4_000;

const SYSTEM = `You answer questions about a CSV file by running Python (pandas and matplotlib are there).
Reply with one block of code between \`\`\`python and \`\`\`, and you get what it printed, its result, or its error. Variables stay.
Draw a chart where it helps. When you know the answer, reply with it alone, without code.`;

export interface Answer {
  text: string;
  /** PNGs, in the order in which they were drawn. */
  charts: Buffer[];
}

/** Lets a model write code until it has the answer. `tell` hears every step. */
export async function answerQuestion(
  sandbox: Sandbox,
  model: Model,
  question: string,
  tell: (step: string) => void,
): Promise<Answer> {
  const messages: Message[] = [
    { role: 'system', content: SYSTEM },
    { role: 'user', content: question },
  ];
  const charts: Buffer[] = [];
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    const reply = await model(messages);
    messages.push({ role: 'assistant', content: reply });
    const code = codeIn(reply);
    if (code === undefined) return { text: reply.trim(), charts };
    tell(`the model runs:\n${code}`);
    const execution = await sandbox.runCode(code);
    charts.push(...chartsOf(execution));
    const outcome = describe(execution);
    tell(outcome);
    messages.push({ role: 'user', content: outcome });
  }
  throw new Error(`no answer after ${MOST_TURNS} turns`);
}

function codeIn(reply: string): string | undefined {
  return /```python\n([\s\S]*?)```/.exec(reply)?.[1]?.trim();
}

function chartsOf({ results }: Execution): Buffer[] {
  return results.flatMap(({ png }) => (png === undefined ? [] : [Buffer.from(png, 'base64')]));
}

/** What a model needs to know of a run: an error as Python shows it, so that it can fix its code. */
function describe({ logs, results, error }: Execution): string {
  const printed = logs.stdout.join('') + logs.stderr.join('');
  const shown = results.map(({ png, text }) => (png === undefined ? text : '(a chart)')).join('\n');
  if (error) return `It failed:\n${printed}${error.traceback.slice(-SHOWN_CHARACTERS)}`;
  return `It ran:\n${[printed, shown].filter(Boolean).join('\n').slice(0, SHOWN_CHARACTERS)}`;
}
