import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSite, type Site } from './site.ts';
import { buildTemplate, env, runStep } from './template.ts';

describe.runIf(process.getuid?.() === 0)("a client's build", () => {
  let site: Site;
  beforeAll(async () => {
    site = await openSite();
  }, 180_000);
  afterAll(() => site?.[Symbol.asyncDispose](), 60_000);

  it('runs steps as the user, with what ENV set, and finds them again', { timeout: 120_000 }, async () => {
    const teamId = randomUUID();
    const steps = [
      env('GREETING', 'Hello, World!', 'PATH', `\${PATH}:/my/path`),
      runStep('echo "$GREETING" > greeting && id -un >> greeting && echo "$PATH"; echo oops >&2'),
    ];
    const first = await buildTemplate(site, { teamId, steps });
    expect(first.state).toMatchObject({ case: 'ready', value: { defaultUser: 'user', defaultWorkdir: '' } });
    expect(first.messages).toContainEqual(
      expect.stringMatching(/^\[builder 2\/2\] \[stdout\]: .*:\/my\/path/),
    );
    expect(first.messages).toContain('[builder 2/2] [stderr]: oops');
    const second = await buildTemplate(site, { teamId, steps });
    expect(second.messages).toContainEqual(
      expect.stringMatching(/^CACHED \[builder 1\/2\] ENV GREETING Hello, World! PATH/),
    );
    expect(second.messages).toContainEqual(expect.stringMatching(/^CACHED \[builder 2\/2\] RUN echo/));
    const child = await buildTemplate(site, {
      teamId,
      parent: second.buildId,
      steps: [runStep('test "$(cat ~/greeting)" = "$(printf \'Hello, World!\\nuser\')" && rm ~/greeting')],
    });
    expect(child.state.case).toBe('ready');
  });

  it('fails with the step and the words of the command', { timeout: 120_000 }, async () => {
    const failed = await buildTemplate(site, { steps: [runStep('true'), runStep('echo why >&2; exit 3')] });
    expect(failed.state).toMatchObject({
      case: 'failure',
      value: { step: '2', message: "failed to run command 'echo why >&2; exit 3': exit status 3" },
    });
    expect(failed.messages).toContain('[builder 2/2] [stderr]: why');
  });
});
