import { keepText } from '../../packages/template-manager/src/host/keep-text.ts';
import { outputLines } from '../../packages/template-manager/src/host/output-lines.ts';
import { explainPull } from '../../packages/template-manager/src/images/pull-failure.ts';
import {
  parseSummary,
  SUMMARY_BYTES,
  variablesOf,
} from '../../packages/template-manager/src/images/summary.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  description: "what skopeo says of a stranger's manifest and configuration, or of why it fails",
  // Longer than all that is kept of it.
  maxBytes: SUMMARY_BYTES + 64 * 1024,
  run(input) {
    const kept = keepText(SUMMARY_BYTES);
    const { end, push } = outputLines(kept.add);
    push(input);
    end();
    if (kept.text.length > SUMMARY_BYTES) throw new RangeError(`${kept.text.length} characters are kept`);
    const { message } = explainPull('image', kept.text, undefined);
    if (message.length > 200) throw new RangeError('what the image says reaches the client');
    const summary = parseSummary(kept.text);
    if (!summary) return;
    for (const { bytes, digest } of summary.layers) {
      if (!/^sha256:[0-9a-f]{64}$/.test(digest)) throw new Error(`a blob '${digest}'`);
      if (!(bytes >= 0)) throw new RangeError(`a layer of ${bytes} bytes`);
    }
    for (const [name, value] of Object.entries(variablesOf(summary)))
      if (name === '' || /[=\0]/.test(name) || value.includes('\0')) throw new Error(`a variable '${name}'`);
  },
};
