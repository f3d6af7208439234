import { expect, it } from 'vitest';
import { type Message, recordedModel } from './model.ts';

const said = (content: string): Message => ({ role: 'assistant', content });

it('says what was recorded, by turns, and no more', async () => {
  const model = await recordedModel(new URL('recording.json', import.meta.url));
  expect(await model([])).toContain("sales['amount']");
  expect(await model([said('1'), said('2'), said('3')])).toContain('West grew most');
  await expect(model(['1', '2', '3', '4'].map(said))).rejects.toThrow('the recording ends after 4 answers');
});
