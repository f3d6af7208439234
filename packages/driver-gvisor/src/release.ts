/** Releases of gVisor that all of Islet's tests pass on, by the day in their names. Add one when they do: docs/gvisor.md says how. */
export const TESTED_RELEASES: readonly string[] = ['20240729'];

/** A build of runsc. */
export interface GvisorRelease {
  /** As it names itself: `0.0~20240729.0` of Debian, `release-20240729.0` of gVisor. */
  name: string;
  /** Whether it writes what Islet reads of it as Islet knows it. */
  isTested: boolean;
}

const VERSION = /^runsc version (\S{1,64})/m;

/** @param text what `runsc --version` says; anything else is an unknown release */
export function parseRelease(text: string): GvisorRelease {
  const name = VERSION.exec(text)?.[1] ?? 'unknown';
  const day = /(?:^|[~-])(\d{8})\./.exec(name)?.[1];
  return { name, isTested: day !== undefined && TESTED_RELEASES.includes(day) };
}

/** What does not work under a release that is not tested, and what to do; undefined of one that is. */
export function untestedTrouble({
  isTested,
  name,
}: GvisorRelease): { cause: string; fix: string } | undefined {
  if (isTested) return undefined;
  return {
    cause:
      `Islet was tested with release ${TESTED_RELEASES.join(', ')}, not with ${name}: it leaves checkpoints as this one writes them, ` +
      'so a program of a sandbox that is paused soon after a resume may spin',
    fix: "nothing if it works; else install Debian 13's runsc, or see docs/gvisor.md",
  };
}
