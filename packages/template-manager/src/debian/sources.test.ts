import { describe, expect, it } from 'vitest';
import {
  DEFAULT_MIRROR,
  mirrorFromOption,
  mirrorOfHost,
  parseDeb822Sources,
  parseSourcesList,
} from './sources.ts';

describe('apt sources of the host', () => {
  it('reads one-line style with options, and skips comments and sources of source code', () => {
    const text = [
      '# deb http://old.example/debian trixie main',
      'deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian/ trixie main contrib',
      'deb-src http://mirror.example/debian trixie main',
    ].join('\n');
    expect(parseSourcesList(text)).toEqual([{ uri: 'http://mirror.example/debian/', suites: ['trixie'] }]);
  });

  it('reads deb822 style with several suites, folded fields and disabled stanzas', () => {
    const text = `# made by the installer
Types: deb deb-src
URIs: https://a.example/debian
Suites: trixie
 trixie-updates
Components: main

Enabled: no
Types: deb
URIs: https://b.example/debian
Suites: trixie
`;
    expect(parseDeb822Sources(text)).toEqual([
      { uri: 'https://a.example/debian', suites: ['trixie', 'trixie-updates'] },
    ]);
  });
});

describe('the mirror to build from', () => {
  it("is the host's own for the release and for security", () => {
    const sources = [
      { uri: 'https://a.example/debian/', suites: ['bookworm', 'bookworm-updates'] },
      { uri: 'https://a.example/security/', suites: ['bookworm-security'] },
    ];
    expect(mirrorOfHost(sources, 'bookworm')).toEqual({
      main: 'https://a.example/debian',
      security: 'https://a.example/security',
    });
  });

  it('is not a folder of the host, nor the archive of another project', () => {
    const sources = [
      { uri: 'file:/srv/debs', suites: ['trixie'] },
      { uri: 'https://packages.example/tool', suites: ['stable'] },
    ];
    expect(mirrorOfHost(sources, 'trixie')).toEqual(DEFAULT_MIRROR);
  });

  it('is what the operator names, with security updates beside it', () => {
    expect(mirrorFromOption('http://m.example/debian/')).toEqual({
      main: 'http://m.example/debian',
      security: 'http://m.example/debian-security',
    });
    expect(mirrorFromOption('http://m.example/repo').security).toBe(DEFAULT_MIRROR.security);
  });
});
