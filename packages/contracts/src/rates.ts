/** How often somebody may ask: a bucket of `burst` requests that fills evenly, with `requests` in each period. */
export interface Rate {
  requests: number;
  periodMs: number;
  /** Requests at once, if none came for long enough. */
  burst: number;
}

/** `none`: any number. */
export type RateRule = Rate | 'none';

const PERIODS_MS = { s: 1_000, m: 60_000, h: 3_600_000 };
type Unit = keyof typeof PERIODS_MS;

/**
 * Reads `50/s`, `600/m:100` (a hundred of them at once) or `none`. Without a burst, those of a whole period may come at once.
 * @throws RangeError whose message ends a sentence that names the option
 */
export function parseRateRule(text: string): RateRule {
  if (text === 'none') return 'none';
  const [, requests, unit, burst = requests] =
    /^([1-9]\d{0,6})\/([smh])(?::([1-9]\d{0,6}))?$/.exec(text) ?? [];
  if (unit === undefined) {
    throw new RangeError(
      'must be requests in a time, such as 50/s, 600/m:100 (100 of them at once), or none',
    );
  }
  return { requests: Number(requests), periodMs: PERIODS_MS[unit as Unit], burst: Number(burst) };
}

/** The text that `parseRateRule` reads as this. */
export function formatRateRule(rule: RateRule): string {
  if (rule === 'none') return rule;
  const { requests, periodMs, burst } = rule;
  const unit = (Object.keys(PERIODS_MS) as Unit[]).find((each) => PERIODS_MS[each] === periodMs);
  if (!unit) throw new RangeError(`a period of ${periodMs} ms has no unit`);
  return `${requests}/${unit}${burst === requests ? '' : `:${burst}`}`;
}
