import { readFile } from 'node:fs/promises';

export interface Message {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

/** Something that answers a conversation. */
export type Model = (messages: readonly Message[]) => Promise<string>;

/** Says what a model once said: its first answer first. Needs no key, and does the same each time. */
export async function recordedModel(file: URL): Promise<Model> {
  const answers = JSON.parse(await readFile(file, 'utf8')) as string[];
  return async (messages) => {
    const turn = messages.filter(({ role }) => role === 'assistant').length;
    const answer = answers[turn];
    if (answer === undefined) throw new Error(`the recording ends after ${answers.length} answers`);
    return answer;
  };
}

export interface ChatOptions {
  /** Of an API that speaks OpenAI's chat completions, such as https://api.openai.com/v1. */
  url: string;
  key: string;
  name: string;
}

/** A model behind an API. */
export function chatModel({ url, key, name }: ChatOptions): Model {
  return async (messages) => {
    const response = await fetch(`${url}/chat/completions`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ model: name, messages }),
    });
    if (!response.ok) throw new Error(`the model answered ${response.status}: ${await response.text()}`);
    const { choices } = (await response.json()) as { choices: { message: { content: string } }[] };
    const content = choices[0]?.message.content;
    if (!content) throw new Error('the model said nothing');
    return content;
  };
}
