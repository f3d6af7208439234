import { expect, it } from 'vitest';
import { faultMessage } from './fault.ts';

it('reads what Firecracker says of a fault', () => {
  expect(faultMessage('{"fault_message":"no such file"}')).toBe('no such file');
});

it.each([
  '',
  'null',
  '[]',
  '7',
  '{}',
  '{"fault_message":null}',
  '{"fault_message":{"toString":1,"valueOf":1}}',
])('finds nothing to say in %j', (answer) => expect(faultMessage(answer)).toBeUndefined());

it('shortens what has no end', () => {
  expect(faultMessage(JSON.stringify({ fault_message: 'x'.repeat(60_000) }))).toHaveLength(1000);
});
