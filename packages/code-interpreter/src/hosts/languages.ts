import type { MakeHost } from './host.ts';

/** A language that code can be run in. */
export interface Language {
  /** As contexts show it. */
  name: string;
  makeHost: MakeHost;
}

/** Finds a language by what a client calls it. */
export interface Languages {
  /**
   * @param asked in any case and with spaces around; an alias, or the name of an installed kernel
   * @returns undefined if there is none
   */
  find(asked: string): Promise<Language | undefined>;
}

/** Other names of languages. */
const ALIASES: Record<string, string> = { js: 'javascript', ts: 'typescript', py: 'python', sh: 'bash' };

/** Lower case, without spaces around, and by its own name. */
export function languageName(asked: string): string {
  const name = asked.trim().toLowerCase();
  return Object.hasOwn(ALIASES, name) ? (ALIASES[name] as string) : name;
}

/** Languages by their names; `others` is asked for those that are not in it. */
export function languagesOf(
  hosts: Record<string, MakeHost>,
  others: (name: string) => Promise<MakeHost | undefined> = async () => undefined,
): Languages {
  return {
    async find(asked) {
      const name = languageName(asked);
      const makeHost = Object.hasOwn(hosts, name) ? hosts[name] : await others(name);
      return makeHost && { name, makeHost };
    },
  };
}
