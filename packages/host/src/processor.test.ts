import { expect, it } from 'vitest';
import { parseProcessor, parseProcessorFeatures } from './processor.ts';

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

it("has the instructions that programs find, in order, and nothing that is the kernel's own", () => {
  const flags = 'fpu vme sse4_2 avx2 avx512_bf16 sha_ni aes constant_tsc nopl ibrs md_clear lm sse2 avx2';
  expect(parseProcessorFeatures(`processor\t: 0\nflags\t\t: ${flags}\n\nprocessor\t: 1\n`, 'x64')).toEqual({
    architecture: 'amd64',
    features: ['aes', 'avx2', 'avx512_bf16', 'sha_ni', 'sse2', 'sse4_2'],
  });
  expect(parseProcessorFeatures('processor\t: 0\nFeatures\t: fp asimd crc32\n', 'arm64')).toEqual({
    architecture: 'arm64',
    features: ['asimd', 'crc32', 'fp'],
  });
  expect(parseProcessorFeatures('', 'x64')).toEqual({ architecture: 'amd64', features: [] });
});
