/** Where Debian packages come from. URIs without a trailing slash. */
export interface DebianMirror {
  main: string;
  security: string;
}

export const DEFAULT_MIRROR: DebianMirror = {
  main: 'http://deb.debian.org/debian',
  security: 'http://deb.debian.org/debian-security',
};

/** One source of packages, in either of apt's two formats. */
export interface AptSource {
  uri: string;
  suites: string[];
}

/** Reads one-line style (`*.list`). Lines that are not `deb` are skipped. */
export function parseSourcesList(text: string): AptSource[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)/.exec(line);
    return match?.[1] && match[2] ? [{ uri: match[1], suites: [match[2]] }] : [];
  });
}

/** Reads deb822 style (`*.sources`). Disabled stanzas are skipped. */
export function parseDeb822Sources(text: string): AptSource[] {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const fields = new Map<string, string>();
    let name = '';
    for (const line of stanza.split('\n')) {
      if (line.startsWith('#')) continue;
      const field = /^([A-Za-z-]+):(.*)$/.exec(line);
      if (field?.[1]) name = field[1].toLowerCase();
      if (name) fields.set(name, `${fields.get(name) ?? ''} ${field ? (field[2] ?? '') : line}`);
    }
    const words = (field: string) => (fields.get(field) ?? '').split(/\s+/).filter(Boolean);
    if (!words('types').includes('deb') || words('enabled').includes('no')) return [];
    return words('uris').map((uri) => ({ uri, suites: words('suites') }));
  });
}

/**
 * The mirror a Debian host itself uses, so that builds work behind a company's mirror and are quick near one. Sources that
 * are no mirror over HTTP (`file:`, `cdrom:`) cannot be reached from inside the new root and are passed over.
 */
export function mirrorOfHost(sources: AptSource[], hostCodename: string): DebianMirror {
  const find = (suite: string) =>
    sources.find((source) => /^https?:/.test(source.uri) && source.suites.includes(suite))?.uri;
  return {
    main: trimSlash(find(hostCodename) ?? DEFAULT_MIRROR.main),
    security: trimSlash(find(`${hostCodename}-security`) ?? DEFAULT_MIRROR.security),
  };
}

/** The mirror an operator names: security updates come from the folder beside it, as on the official mirrors. */
export function mirrorFromOption(url: string): DebianMirror {
  const main = trimSlash(url);
  return { main, security: main.endsWith('/debian') ? `${main}-security` : DEFAULT_MIRROR.security };
}

function trimSlash(uri: string): string {
  return uri.replace(/\/+$/, '');
}
