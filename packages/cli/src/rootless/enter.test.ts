import { expect, it } from 'vitest';
import { homeDirs, withPorts } from './enter.ts';

it('keeps an ordinary user’s Islet in the home folder, where the user’s other programs keep theirs', () => {
  expect(homeDirs({ HOME: '/home/ann' })).toEqual({
    ISLET_DATA_DIR: '/home/ann/.local/share/islet',
    ISLET_CACHE_DIR: '/home/ann/.cache/islet',
  });
  expect(homeDirs({ HOME: '/home/ann', XDG_DATA_HOME: '/data', XDG_CACHE_HOME: '' })).toEqual({
    ISLET_DATA_DIR: '/data/islet',
    ISLET_CACHE_DIR: '/home/ann/.cache/islet',
  });
});

it('names ports in place of those that were given, however they were, and leaves all else', () => {
  const words = ['up', '--api-port', '0', '--json', '--proxy-port=0', '--domain', 'x'];
  expect(withPorts(words, { 'api-port': 4001, 'proxy-port': 4002 })).toEqual([
    ...['up', '--json', '--domain', 'x', '--api-port=4001', '--proxy-port=4002'],
  ]);
});
