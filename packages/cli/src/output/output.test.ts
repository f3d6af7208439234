import { describe, expect, it } from 'vitest';
import { createJsonReporter } from './json-reporter.ts';
import { explainError, type ReadyInfo } from './reporter.ts';
import type { SecretStyle } from './summary.ts';
import { createTextReporter } from './text-reporter.ts';

const info: ReadyInfo = {
  apiUrl: 'http://localhost:3000',
  sandboxUrl: 'http://localhost:3002',
  apiKey: 'e2b_00',
  apiKeyFile: '/d/secrets/api-key',
  accessToken: 'sk_e2b_00',
  isFirstStart: true,
  domain: 'islet.localhost:3002',
  trust: { authorityFile: '/d/https/authority.pem', bundleFile: "/it's/https/bundle.pem" },
  templateId: 'base',
  dataDir: '/d',
  pid: 1,
  ports: { api: 3000 },
  startedInMs: 1234,
};

function text(isTTY: boolean, secrets?: SecretStyle) {
  let out = '';
  let now = 0;
  const target = {
    write: (chunk: string) => {
      out += chunk;
    },
    isTTY,
    columns: 60,
    color: false,
  };
  const reporter = createTextReporter(target, () => now, secrets);
  return {
    reporter,
    out: () => out,
    pass: (ms: number) => {
      now += ms;
    },
  };
}

describe('the report for people', () => {
  it('keeps one line a step on a terminal, written over, within its width', () => {
    const { reporter, out, pass } = text(true);
    const step = reporter.step('t', 'Base template');
    step.progress('fetching a package with a name that is much longer than the terminal is wide', 0.42);
    pass(2000);
    step.done('Base template is built');
    const frames = out().split('\r\u001b[K');
    expect(frames[2]).toMatch(/^ {2}… Base template {2}42 % · fetching/);
    expect(frames[2]?.length).toBeLessThan(60);
    expect(frames[3]).toBe('  ✓ Base template is built (2.0 s)\n');
  });

  it('keeps what programs print, above the line of the step', () => {
    const { reporter, out } = text(true);
    const step = reporter.step('t', 'Build');
    step.progress('RUN make', 0.5);
    step.output('cc main.c');
    expect(out().split('\r\u001b[K').slice(2)).toEqual([
      '  … Build  50 % · RUN make',
      '    cc main.c\n',
      '  … Build  50 % · RUN make',
    ]);
    const piped = text(false);
    piped.reporter.step('t', 'Build').output('cc main.c');
    expect(piped.out()).toBe('Build …\n    cc main.c\n');
  });

  it('prints plain lines elsewhere, a line each tenth of the way', () => {
    const { reporter, out } = text(false);
    const step = reporter.step('t', 'Base template');
    for (let i = 1; i <= 1000; i++) step.progress(`package ${i}`, i / 1000);
    expect(out()).not.toContain('\u001b');
    expect(out().split('\n').length).toBeLessThan(15);
    expect(out()).toMatch(/\n {2}50 % package 50[01]\n/);
  });

  it('ends with all that is needed to go on', () => {
    const { reporter, out } = text(false);
    reporter.ready(info);
    for (const line of [
      'export E2B_API_URL=http://localhost:3000',
      'export E2B_SANDBOX_URL=http://localhost:3002',
      'export E2B_VOLUME_API_URL=http://localhost:3000',
      'export E2B_API_KEY=e2b_00',
      `export SSL_CERT_FILE='/it'\\''s/https/bundle.pem'`,
      'export NODE_EXTRA_CA_CERTS=/d/https/authority.pem',
      `curl -s -X POST http://localhost:3000/sandboxes -H 'Content-Type: application/json' -H "X-API-Key: $E2B_API_KEY" -d '{"templateID":"base","secure":true,"timeout":300}'`,
    ]) {
      expect(out()).toContain(line);
    }
  });

  it('spells a key of its own out once, and then says where it is', () => {
    const later = { ...info, isFirstStart: false, apiKeyFile: "/it's/secrets/api-key" };
    const first = text(false);
    first.reporter.ready(info);
    expect(first.out()).toContain('shown this once; kept in /d/secrets/api-key');
    const again = text(false);
    again.reporter.ready(later);
    expect(again.out()).not.toContain('e2b_00');
    expect(again.out()).toContain(`export E2B_API_KEY=$(cat '/it'\\''s/secrets/api-key')`);
    const known = text(false);
    known.reporter.ready({ ...later, apiKeyFile: null });
    expect(known.out()).toContain('export E2B_API_KEY=e2b_00');
    const none = text(false);
    none.reporter.ready({ ...later, apiKey: null, apiKeyFile: null });
    expect(none.out()).toContain('./islet keys create');
  });

  it('never spells it out if what is printed goes to a journal', () => {
    const { reporter, out } = text(false, { read: 'cat', spellOnce: false });
    reporter.ready(info);
    expect(out()).not.toContain('e2b_00');
    expect(out()).toContain('export E2B_API_KEY=$(cat /d/secrets/api-key)');
  });

  it('names no authority to trust if the certificate is the operator’s', () => {
    const { reporter, out } = text(false);
    reporter.ready({ ...info, trust: null });
    expect(out()).not.toMatch(/SSL_CERT_FILE|NODE_EXTRA_CA_CERTS|trust/);
  });
});

describe('the report for programs', () => {
  it('is one JSON object a line', () => {
    const lines: string[] = [];
    const reporter = createJsonReporter(
      (line) => lines.push(line),
      () => 0,
    );
    const step = reporter.step('base-template', 'Base template');
    step.progress('half', 0.5);
    step.done();
    reporter.ready(info);
    reporter.error(new Error('outer', { cause: new Error('inner') }));
    expect(lines.every((line) => line.endsWith('\n') && line.indexOf('\n') === line.length - 1)).toBe(true);
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { event: 'step', step: 'base-template', message: 'Base template' },
      { event: 'progress', step: 'base-template', message: 'half', progress: 0.5 },
      { event: 'done', step: 'base-template', message: 'Base template', ms: 0 },
      { event: 'ready', ...info },
      { event: 'error', message: 'outer', causes: ['inner'] },
    ]);
  });
});

describe('an error', () => {
  it('is explained by its causes, without repeating what a wrapper already said', () => {
    const root = new Error('ENOSPC: no space left');
    const middle = new Error(`writing failed: ${root.message}`, { cause: root });
    expect(explainError(new Error('cannot seal', { cause: middle }))).toEqual({
      message: 'cannot seal',
      causes: ['writing failed: ENOSPC: no space left', 'ENOSPC: no space left'],
    });
    expect(explainError('text')).toEqual({ message: 'text', causes: [] });
  });

  it('comes first where tidying up after it failed too', async () => {
    const failing = async () => {
      await using _held = { [Symbol.asyncDispose]: () => Promise.reject(new Error('cannot tidy up')) };
      throw new Error('no start', { cause: new Error('no room') });
    };
    const error = await failing().catch((caught: unknown) => caught);
    expect(explainError(error)).toEqual({ message: 'no start', causes: ['no room', 'cannot tidy up'] });
  });
});
