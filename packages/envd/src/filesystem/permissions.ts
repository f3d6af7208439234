const TYPE_MASK = 0o170000;

/** Letters of the file types that have some. */
const TYPE_LETTERS = new Map([
  [0o040000, 'd'],
  [0o120000, 'L'],
  [0o060000, 'D'],
  [0o020000, 'Dc'],
  [0o010000, 'p'],
  [0o140000, 'S'],
]);

const RWX = 'rwxrwxrwx';

/** Permissions as text, type and special bits in front: `-rw-r--r--`, `drwxr-xr-x`, `dtrwxrwxrwx`, `urwxr-xr-x`. */
export function permissionText(mode: number): string {
  const type = TYPE_LETTERS.get(mode & TYPE_MASK) ?? '';
  const special =
    ((mode & 0o4000) !== 0 ? 'u' : '') +
    ((mode & 0o2000) !== 0 ? 'g' : '') +
    ((mode & 0o1000) !== 0 ? 't' : '');
  const lead =
    type === 'Dc' ? `D${special.replace('t', '')}c${special.includes('t') ? 't' : ''}` : type + special;
  const bits = [...RWX].map((letter, i) => ((mode & (1 << (8 - i))) !== 0 ? letter : '-'));
  return (lead || '-') + bits.join('');
}
