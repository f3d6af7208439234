import { envdAccessToken, newSandbox } from '@islet/contracts';
import { expect, it } from 'vitest';
import { fromShown, toShown } from './shown-paused.ts';

const sandboxId = `i${'a'.repeat(19)}`;
const paused = newSandbox({
  executionId: 'run',
  config: {
    ...{ sandboxId, teamId: 'team', envVars: { KEY: 'variable-of-mine' }, envdAccessToken: 'token-of-mine' },
    egress: {
      denyOut: ['0.0.0.0/0'],
      proxy: { address: 'p:1', username: 'u', password: 'password-of-mine' },
    },
  },
});

it('holds nothing that is secret, and all that is shown', () => {
  const text = toShown(paused);
  expect(text).not.toMatch(/of-mine/);
  const shown = fromShown(text, 'seed')?.config;
  expect(shown).toMatchObject({
    ...{ sandboxId, envVars: {}, envdAccessToken: envdAccessToken('seed', sandboxId) },
    egress: { denyOut: ['0.0.0.0/0'], proxy: { address: 'p:1', username: 'u' } },
  });
  expect(shown?.egress?.proxy?.password).toBeUndefined();
  expect(paused.config.egress?.proxy?.password).toBe('password-of-mine');
});
