import { describe, expect, it } from 'vitest';
import { searchPath } from './search-path.ts';

describe('the PATH that programs are looked up in', () => {
  it.each([[undefined], [''], ['/usr/bin:/bin'], ['/home/me/bin']])(
    'has the folders of the system if it was %j',
    (given) => {
      const dirs = searchPath(given).split(':');
      for (const dir of ['/usr/sbin', '/sbin', '/usr/bin', '/bin']) expect(dirs).toContain(dir);
      expect(new Set(dirs).size).toBe(dirs.length);
    },
  );

  it('keeps the order of what was given, ahead of the rest', () => {
    expect(searchPath('/b:/a:/usr/bin').startsWith('/b:/a:/usr/bin:')).toBe(true);
  });
});
