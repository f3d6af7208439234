import { styleText } from 'node:util';
import { explainError, type Reporter, type Step } from './reporter.ts';
import { type SecretStyle, summary } from './summary.ts';

export interface TextTarget {
  write(text: string): void;
  isTTY: boolean;
  columns: number;
  color: boolean;
}

/** A step that knows how far it is reports in a log at each of these shares, not at each of thousands of news. */
const LOG_EVERY = 0.1;

/** For people: on a terminal one line a step that is written over, elsewhere plain lines. */
export function createTextReporter(
  target: TextTarget,
  clock: () => number,
  secrets: SecretStyle = { read: 'cat', spellOnce: true },
): Reporter {
  const paint = (style: Parameters<typeof styleText>[0], text: string) =>
    target.color ? styleText(style, text) : text;
  const line = (text: string) => target.write(`${target.isTTY ? '\r\u001b[K' : ''}${text}\n`);
  /** Replaces the line that the cursor is on; the cursor stays there. */
  const transient = (text: string) => {
    const room = Math.max(20, target.columns) - 1;
    target.write(`\r\u001b[K${text.length > room ? `${text.slice(0, room - 1)}…` : text}`);
  };

  const terminalStep = (title: string): Step => {
    const from = clock();
    let current = `  … ${title}`;
    transient(current);
    return {
      progress(message, fraction) {
        const share = fraction === undefined ? '' : ` ${String(Math.floor(fraction * 100)).padStart(3)} %`;
        current = `  … ${title}${share} · ${message}`;
        transient(current);
      },
      output(text) {
        line(`    ${text}`);
        transient(current);
      },
      done: (result) =>
        line(`  ${paint('green', '✓')} ${result ?? title}${paint('dim', took(clock() - from))}`),
    };
  };
  const logStep = (title: string): Step => {
    const from = clock();
    let told = 0;
    line(`${title} …`);
    return {
      progress(message, fraction) {
        if (fraction === undefined) return line(`  ${message}`);
        if (fraction < told + LOG_EVERY) return;
        told = fraction;
        line(`  ${Math.floor(fraction * 100)} % ${message}`);
      },
      output: (text) => line(`    ${text}`),
      done: (result) => line(`  ${result ?? 'done'}${took(clock() - from)}`),
    };
  };

  return {
    step: (_id, title) => (target.isTTY ? terminalStep(title) : logStep(title)),
    ready: (info) => line(summary(info, (text) => paint('bold', text), secrets)),
    serving({ role, urls, ports, startedInMs }) {
      const at = Object.values(urls).join(', ') || `ports ${Object.values(ports).join(', ')}`;
      line(`The ${role} serves at ${at}${took(startedInMs)}`);
    },
    note: (message) => line(`  ${paint('yellow', '!')} ${message}`),
    error(error) {
      const { message, causes } = explainError(error);
      line(`${paint('red', 'error:')} ${message}`);
      for (const cause of causes) line(`  because: ${cause}`);
    },
    stopping: (reason) => line(`${reason}: stopping (once more to force it)`),
    stopped: () => line('stopped'),
  };
}

function took(ms: number): string {
  return ms < 100 ? '' : ` (${(ms / 1000).toFixed(1)} s)`;
}
