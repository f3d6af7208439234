import { expect, it } from 'vitest';
import { TeamShares } from './team-shares.ts';

it('takes what is too much from the team that has most, from its sandbox used longest ago', () => {
  const shares = new TeamShares<string>(10);
  const put = (team: string, sandbox: string, size: number) => {
    shares.use(team, sandbox, () => `${team} ${sandbox}`);
    shares.grow(team, sandbox, size);
  };
  const kept = () => [...shares.byTeam()].flat().sort();
  put('small', 'a', 2);
  for (const sandbox of ['b', 'c', 'd', 'e']) put('large', sandbox, 2);
  shares.use('large', 'b', () => 'never made');
  for (const sandbox of ['f', 'g', 'h']) put('large', sandbox, 2);
  expect(kept()).toEqual(['large b', 'large f', 'large g', 'large h', 'small a']);
  expect(shares.get('small', 'a')).toBe('small a');
  expect(shares.get('large', 'a')).toBeUndefined();
  put('third', 'i', 4);
  expect(kept()).toEqual(['large g', 'large h', 'small a', 'third i']);
});

it('is empty in the end of what is larger than all', () => {
  const shares = new TeamShares<string>(10);
  shares.use('t', 's', () => 'x');
  shares.grow('t', 's', 11);
  expect([...shares.byTeam()].flat()).toEqual([]);
  shares.grow('t', 's', 1);
});
