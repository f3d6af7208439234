import { expect, it } from 'vitest';
import { parseProcessor } from './processor.ts';

it('is read from the first of the processors', () => {
  const table = [
    'processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC: 9555\n',
    'processor\t: 1\ncpu family\t: 27\n\n',
  ].join('\n');
  expect(parseProcessor(table, 'x64')).toEqual({
    family: '26',
    model: '2',
    modelName: 'AMD EPYC: 9555',
    architecture: 'amd64',
  });
});

it('is read from the table of an Arm machine', () => {
  const table = 'processor\t: 0\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd0c\n';
  expect(parseProcessor(table, 'arm64')).toEqual({
    family: '8',
    model: '0xd0c',
    modelName: '',
    architecture: 'arm64',
  });
});
