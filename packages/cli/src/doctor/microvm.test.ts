import { describe, expect, it } from 'vitest';
import { evaluateMicrovm, type MicrovmFacts } from './checks/microvm.ts';

const facts = (changes: Partial<MicrovmFacts>): MicrovmFacts => ({
  choice: 'microvm',
  missing: undefined,
  device: 'opens',
  ...changes,
});
const hung = { works: false, reason: 'a guest hung: it did not end within 15 s', seconds: 15 };
const translated = { works: true, reason: '', seconds: 9, loopSeconds: 3.2, hostLoopSeconds: 0.2 };

describe('who wants virtual machines', () => {
  it('is told that they run if a guest booted', () => {
    const kvm = { works: true, reason: 'a guest booted and ended within 0.9 s', seconds: 0.9 };
    expect(evaluateMicrovm(facts({ kvm }))).toMatchObject({
      status: 'ok',
      detail: `KVM works: ${kvm.reason}`,
    });
  });

  it.each([
    ['missing', undefined, /is missing/, /nested/, /modprobe/],
    ['forbidden', undefined, /cannot be opened/, /container/, /--device \/dev\/kvm/],
    ['opens', hung, /is broken: a guest hung/, /guests do not run/, /gvisor/],
  ] as const)('is told why KVM does not work: %s', (device, kvm, detail, cause, fix) => {
    const result = evaluateMicrovm(facts({ device, kvm, tcg: translated }));
    expect(result.status).toBe('warning');
    expect(result.detail).toMatch(detail);
    expect(result.detail).toContain('3.20 s in one and 0.20 s here (16 times as long)');
    expect(result.cause).toMatch(cause);
    expect(result.fix).toMatch(fix);
  });

  it('is told what to install', () => {
    expect(evaluateMicrovm(facts({ missing: 'qemu-system-x86_64' }))).toMatchObject({
      status: 'failed',
      fix: './islet setup --with-microvm',
    });
  });

  it('is told that a start would fail where guests do not even run translated', () => {
    const tcg = { works: false, reason: 'a guest ended before its first program', seconds: 1 };
    expect(evaluateMicrovm(facts({ device: 'missing', tcg })).status).toBe('failed');
  });
});

describe('who leaves the choice to Islet', () => {
  it.each([
    ['nothing is set up', facts({ choice: 'auto', missing: 'qemu-system-x86_64' })],
    ['KVM does not work', facts({ choice: 'auto', kvm: hung })],
  ])('is not troubled where %s', (_, given) => {
    const result = evaluateMicrovm(given);
    expect(result.status).toBe('ok');
    expect(result.detail).toContain('gVisor');
  });
});

describe('who wants Firecracker', () => {
  const firecracker = { version: '1.14.1' };

  it('is told its version if a guest booted', () => {
    const kvm = { works: true, reason: 'a guest booted and ended within 0.3 s', seconds: 0.3 };
    expect(evaluateMicrovm(facts({ firecracker, kvm }))).toMatchObject({
      status: 'ok',
      detail: `Firecracker 1.14.1, KVM works: ${kvm.reason}`,
    });
  });

  it('is told that it needs KVM, what is wrong with it, and that QEMU does not', () => {
    const result = evaluateMicrovm(facts({ firecracker, device: 'missing' }));
    expect(result.status).toBe('failed');
    expect(result.detail).toBe('Firecracker 1.14.1, which needs KVM: /dev/kvm is missing');
    expect(result.fix).toMatch(/modprobe .*leave --firecracker out/);
  });

  it('is told of programs that cannot be used even where gVisor would do', () => {
    const unusable = '/opt/firecracker is not there';
    const result = evaluateMicrovm(facts({ choice: 'auto', firecracker: { unusable } }));
    expect(result).toMatchObject({ status: 'failed', detail: unusable });
  });
});
